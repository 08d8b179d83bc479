"""What of a store is not as it was written: metadata, coordinates, theory, the chunks of every block."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from widesweep.pipeline.errors import DamagedError
from widesweep.pipeline.store import address, encoding, inventory, objects
from widesweep.pipeline.store.inventory import MEASURED, Document, Inventory
from widesweep.workers.variable import DIVERGED, DONE, FAILED, NOT_REQUESTED, PENDING

GONE, CHANGED = "is gone", "does not fit its checksum"
MISPLACED = "is not what its block's status names"
CLOSED = ("finished", "failed")  # states of a run in which nothing is half done
ENDS_BYTES = 4
STATUSES = (PENDING, DONE, DIVERGED, FAILED, NOT_REQUESTED)


@dataclass(frozen=True, order=True)
class Damage:
    """An object that is not as it was written.

    Attributes:
        key: its place in the store.
        found: what is wrong with it.
    """

    key: str
    found: str


def find(url: str, *, quick: bool = False) -> list[Damage]:
    """All that is damaged, missing or in another's place.

    Args:
        url: the store's address.
        quick: reads the checksums that chunks end with and not the chunks, which readers check by themselves.
    """
    made = inventory.read(url)
    found = [] if quick or made is not None else [Damage(inventory.PLACE, f"{GONE} or {CHANGED}")]
    found += metadata(url, made) if made is not None else []
    ours = arrays(url, made)
    found += _template(url, made, quick=quick)
    found += _blocks(url, ours, quick=quick)
    found += [] if quick else [*_run(url, ours), *derived(url)]
    return sorted(set(found))


def arrays(url: str, made: Inventory | None) -> dict[str, Document]:
    """Metadata of our arrays; of a store without an inventory those that the root has gathered."""
    if made is not None:
        return made.arrays
    gathered = inventory.document(url, "").get("consolidated_metadata") or {}
    every: dict[str, Document] = gathered.get("metadata", {})
    return {path: each for path, each in every.items() if each.get("node_type") == "array"}


def metadata(url: str, made: Inventory) -> Iterator[Damage]:
    """Every zarr.json of ours against the inventory, and against the copies that groups gather."""
    root = inventory.document(url, "")
    attributes = root.get("attributes", {})
    if not isinstance(attributes, dict) or any(name in attributes for name in inventory.FLEETING):
        return  # a growth is under way; the command that completes it writes the metadata
    if not root:
        yield Damage("zarr.json", f"{GONE} or is no metadata")
    elif attributes != made.attributes:
        yield Damage("zarr.json", "metadata are not as they were written")
    for path, wanted in made.documents.items():
        content = objects.get(url, f"{path}/zarr.json")
        if (reason := difference(path, inventory.parsed(content), wanted)) is not None:
            yield Damage(f"{path}/zarr.json", GONE if content is None else reason)
    for path in ("", *(name for name in made.documents if "/" not in name)):
        if not _repeats(inventory.document(url, path), path, made):
            yield Damage(
                f"{path}/zarr.json".lstrip("/"), "gathers metadata that are not those of its members"
            )


def difference(path: str, found: Document | None, wanted: Document) -> str | None:
    """Why a node's metadata are not what is wanted; None if they are."""
    if found is None:
        return "is no metadata"
    own = {name: each for name, each in found.items() if name != "consolidated_metadata"}
    if path == inventory.OF_A_RUN:
        own["attributes"] = wanted["attributes"]
    return None if own == wanted else "metadata are not as they were written"


def _repeats(group: Document, path: str, made: Inventory) -> bool:
    """Whether what a group gathers of its members is what they say themselves."""
    gathered = group.get("consolidated_metadata")
    if not gathered:
        return "consolidated_metadata" not in group or gathered is None
    if {**gathered, "metadata": {}} != {"kind": "inline", "must_understand": False, "metadata": {}}:
        return False
    prefix = f"{path}/" if path else ""
    members: Mapping[str, Any] = gathered.get("metadata") or {}
    for name, wanted in made.documents.items():
        if name.startswith(prefix) and name != path:
            found = members.get(name.removeprefix(prefix))
            if difference(name, found, wanted) is not None:
                return False
    return True


def _template(url: str, made: Inventory | None, *, quick: bool) -> Iterator[Damage]:
    """Coordinates, η and theory."""
    if made is None:
        return
    there = {
        key
        for path, each in made.arrays.items()
        if inventory.is_of_template(path, each)
        for key in objects.keys_below(url, path)
        if inventory.is_chunk(key, each)
    }
    found = _checksums(url, sorted(there), quick=quick)
    for key in sorted(there | made.chunks.keys()):
        if found.get(key) != made.chunks.get(key):
            yield Damage(key, GONE if key not in there else CHANGED)


def _blocks(url: str, arrays: Mapping[str, Document], *, quick: bool) -> Iterator[Damage]:
    closed = inventory.document(url, "run").get("attributes", {}).get("state") in CLOSED
    for group in MEASURED:
        ours = {
            path: each
            for path, each in arrays.items()
            if inventory.is_of_blocks(path, each)
            and (path.startswith(f"{group}/") or path == f"{encoding.FAILURES}/{group}")
        }
        if f"{group}/status" in ours:
            yield from _Group(url, group, ours, closed=closed, quick=quick).damages()


@dataclass(frozen=True)
class _Group:
    """The blocks of one group.

    Attributes:
        url: the store's address.
        name: the group.
        arrays: metadata of its measured arrays, by path.
        closed: whether the last run came to its end.
        quick: as in `find`.
    """

    url: str
    name: str
    arrays: Mapping[str, Document]
    closed: bool
    quick: bool

    def damages(self) -> Iterator[Damage]:
        """All, block by block."""
        blocks: dict[tuple[int, ...], set[str]] = {}
        folders = (self.name, f"{encoding.FAILURES}/{self.name}")
        for key in [key for folder in folders for key in objects.keys_below(self.url, folder)]:
            path = "/".join(key.split("/")[:2])
            if path in self.arrays and inventory.is_chunk(key, self.arrays[path]):
                blocks.setdefault(encoding.parted(key)[2][: self._axes], set()).add(key)
        statuses = dict(objects.get_many(self.url, [self._status_key(block) for block in blocks]))
        for block, keys in blocks.items():
            yield from self._of_block(block, keys, statuses.get(self._status_key(block)))

    def _of_block(self, block: tuple[int, ...], keys: set[str], status: bytes | None) -> Iterator[Damage]:
        key = self._status_key(block)
        others = sorted(keys - {key})
        if status is not None and (reason := self._wrong(key, status)) is not None:
            yield Damage(key, reason)
        seal = encoding.note_of(status or b"").get(encoding.SEALED)
        found = _checksums(self.url, others, quick=self.quick)
        damages = [Damage(each, CHANGED) for each, checksum in found.items() if not checksum]
        if isinstance(seal, dict):
            damages = list(self._against(seal, block, found))
        if damages and objects.get(self.url, key) != status:
            return  # it was written again meanwhile
        yield from damages
        if status is None and others and self.closed:
            yield Damage(key, GONE)

    def _against(
        self, seal: Mapping[str, str], block: tuple[int, ...], found: Mapping[str, str]
    ) -> Iterator[Damage]:
        """The chunks of a block against what its status says of them."""
        places = {encoding.place_in_block(key, self._axes): key for key in found}
        for place in sorted(seal.keys() | places.keys()):
            if place not in places:
                yield Damage(self._key(block, place), GONE)
            elif not found[places[place]]:
                yield Damage(places[place], CHANGED)
            elif found[places[place]] != seal.get(place):
                yield Damage(places[place], MISPLACED)

    def _wrong(self, key: str, status: bytes) -> str | None:
        try:
            values = encoding.decode(self.url, key, self._opened, status)
        except DamagedError:
            return CHANGED
        if not np.isin(values, STATUSES).all():
            return "holds a status that there is not"
        return None

    @functools.cached_property
    def _opened(self) -> Any:
        return opened(self.url, f"{self.name}/status", self.arrays[f"{self.name}/status"])

    @property
    def _axes(self) -> int:
        return len(self.arrays[f"{self.name}/status"]["shape"])

    def _status_key(self, block: tuple[int, ...]) -> str:
        return self._key(block, "status")

    def _key(self, block: tuple[int, ...], place: str) -> str:
        name, *tail = place.split(" ")
        path = f"{name}/{self.name}" if name == encoding.FAILURES else f"{self.name}/{name}"
        each = self.arrays.get(path, self.arrays[f"{self.name}/status"])
        separator = inventory.separator(each)
        return f"{path}/c{separator}{separator.join([*map(str, block), *tail])}"


def _run(url: str, arrays: Mapping[str, Document]) -> Iterator[Damage]:
    """What is known of blocks' times: whole, and where a run has ended, what it wrote."""
    attributes = inventory.document(url, inventory.OF_A_RUN).get("attributes", {})
    said = attributes.get("checksums") if isinstance(attributes, dict) else None
    for path, each in arrays.items():
        if not path.startswith(f"{inventory.OF_A_RUN}/"):
            continue
        keys = [key for key in objects.keys_below(url, path) if inventory.is_chunk(key, each)]
        found = _checksums(url, keys, quick=False)
        wanted = (
            {k: c for k, c in said.items() if k.startswith(f"{path}/")} if isinstance(said, dict) else found
        )
        for key in sorted(found.keys() | wanted.keys()):
            if key not in found:
                yield Damage(key, GONE)
            elif not found[key] or found[key] != wanted.get(key):
                yield Damage(key, CHANGED)


def derived_keys(url: str) -> list[str]:
    """What the last analysis wrote, as far as that is known."""
    from widesweep.analysis import storing

    return sorted(inventory.parsed(objects.get(url, storing.WRITTEN)) or {})


def derived(url: str) -> Iterator[Damage]:
    """What the last analysis wrote."""
    from widesweep.analysis import storing

    content = objects.get(url, storing.WRITTEN)
    if content is None and not objects.names(url, "laws"):
        return
    said = inventory.parsed(content)
    if not said:
        yield Damage(storing.WRITTEN, GONE if content is None else CHANGED)
        return
    there = dict(objects.get_many(url, sorted(said)))
    now = storing.checksums(there)
    for key, checksum in said.items():
        if now.get(key) != checksum:
            yield Damage(key, GONE if key not in there else CHANGED)


def _checksums(url: str, keys: list[str], *, quick: bool) -> dict[str, str]:
    """Checksums of those chunks that are there; empty where one does not fit its bytes."""
    if quick:
        return {key: end.hex() for key, end in objects.get_ends(url, keys, ENDS_BYTES)}
    return {
        key: encoding.checksum(content) if encoding.is_whole(content) else ""
        for key, content in objects.get_many(url, keys)
    }


def opened(url: str, path: str, each: Document) -> Any:
    """The array that a document describes, whatever the store says of it."""
    metadata: Any = each
    store = address.zarr_store(url)
    if not address.is_remote(url):
        store = zarr.storage.LocalStore(store, read_only=True)
    return zarr.Array(zarr.AsyncArray(metadata, StorePath(store, path)))
