"""What is not as it was written, restored from its second copy, or given back to the plan."""

from __future__ import annotations

from dataclasses import dataclass

from widesweep.pipeline.store import encoding, inventory, objects, template, verify
from widesweep.pipeline.store.inventory import Document, Inventory
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.verify import Damage


@dataclass(frozen=True)
class Repair:
    """What a repair has taken away or restored.

    Attributes:
        damages: what was found.
        template: whether coordinates, theory or the inventory must be written again.
    """

    damages: tuple[Damage, ...] = ()
    template: bool = False


def restore_metadata(permit: Permit) -> list[Damage]:
    """Writes metadata again that are not those of the inventory; returns what was wrong.

    Only our own: what else lies in a store's groups is its owner's.
    """
    made = inventory.read(permit.url)
    if made is None:
        return []
    damages = list(verify.metadata(permit.url, made))
    if damages:
        _restore(permit, made, {each.key for each in damages})
    return damages


def discard_laws(permit: Permit) -> list[Damage]:
    """Takes away what the last analysis wrote if any of it is damaged; `analyze` writes it again."""
    damages = list(verify.derived(permit.url))
    if damages:
        permit.delete(verify.derived_keys(permit.url))
        permit.delete([each.key for each in damages])
    return damages


def discard(permit: Permit) -> Repair:
    """Takes damaged chunks away; their blocks are pending from then on.

    A block's status goes first, so that it counts as not measured at every moment.
    """
    url, damages = permit.url, tuple(verify.find(permit.url))
    arrays = verify.arrays(url, inventory.read(url))
    keys = [each.key for each in damages if each.key != inventory.PLACE]
    gone = {status for key in keys for status in _statuses(key, arrays)}
    permit.delete(sorted(gone))
    permit.delete(keys)
    return Repair(damages, any(not _is_of_blocks(each.key, arrays) for each in damages))


def _restore(permit: Permit, made: Inventory, wrong: set[str]) -> None:
    url, root = permit.url, inventory.document(permit.url, "")
    gathered = (root.get("consolidated_metadata") or {}).get("metadata", {})
    if "zarr.json" in wrong:
        document = {"attributes": dict(made.attributes), "zarr_format": 3, "node_type": "group"}
        permit.put({"zarr.json": inventory.text(document)})
    for path, wanted in made.documents.items():
        key = f"{path}/zarr.json"
        # also where only what a group gathers is harmed: nobody could open it to gather anew
        if key in wrong:
            copies = (inventory.parsed(objects.get(url, key)), gathered.get(path))
            good = [each for each in copies if each and not verify.difference(path, each, wanted)]
            permit.put({key: inventory.text(_own((good or [wanted])[0]))})
    objects.with_retries(url, lambda: template.consolidate(permit.zarr_store()))


def _own(each: Document) -> Document:
    """What a group says of itself: of a run more than the inventory knows."""
    return {name: value for name, value in each.items() if name != "consolidated_metadata"}


def _statuses(key: str, arrays: dict[str, Document]) -> list[str]:
    """What a measured chunk's damage undoes: its block's status and reasons, and what is made of it."""
    if not _is_of_blocks(key, arrays):
        return []
    group, name, numbers = encoding.parted(key)
    group = name if group == encoding.FAILURES else group
    block = numbers[: len(arrays[f"{group}/status"]["shape"])]
    paths = (f"{group}/status", f"{encoding.FAILURES}/{group}")
    found = [_key(arrays, path, block) for path in paths if path in arrays]
    return found + ([_key(arrays, "initialization/status", block[:2])] if group == "parts" else [])


def _is_of_blocks(key: str, arrays: dict[str, Document]) -> bool:
    path = "/".join(key.split("/")[:2])
    return path in arrays and inventory.is_of_blocks(path, arrays[path])


def _key(arrays: dict[str, Document], path: str, numbers: tuple[int, ...]) -> str:
    separator = inventory.separator(arrays[path])
    return f"{path}/c{separator}{separator.join(map(str, numbers))}"
