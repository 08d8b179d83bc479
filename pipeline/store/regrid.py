"""A store's arrays on a larger grid, every axis in ascending order, shown to readers all at once.

An array can name its chunks in two ways, `c/0/1` and `c.0.1`. What changes is staged under the names that are
not in use, where no reader looks; then one object in the store lists the new metadata, and from there on the
growth is completed, whoever completes it. The root's metadata, one object, show the new grid to every reader
at once, and the old chunks are deleted last. Chunks whose cells stay together are copied as they are, on a
disk by a hard link; those into which a value was put are read and written. Arrays along
whose axes values are only added at the end keep their chunks.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from widesweep.pipeline.config.region import Requested
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.plan.blocks import Plan
from widesweep.pipeline.predict.prediction import Prediction
from widesweep.pipeline.store import objects, schema, template
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import GROWING, Store
from widesweep.workers.variable import NOT_REQUESTED, PENDING

JOURNAL = "run/block_attempts/growth.json"  # inside an array's folder, where no reader of Zarr looks
GROUPS = ("training", "initialization", "parts", "failures", "theory", "run")
THREADS = 8  # chunks that are read and written at once

Document = dict[str, Any]
Places = Mapping[str, np.ndarray]  # by dimension: the new index of each old one


def grow(
    store: Store,
    permit: Permit,
    plan: Plan,
    prediction: Prediction,
    index: np.ndarray,
    requested: Requested | None = None,
) -> None:
    """Makes room for the new cells; may be interrupted at any moment and done again."""
    url = store.url
    if store.attributes.get(GROWING):
        _delete_unused(permit, _documents(url))
    _change_root(permit, {GROWING: True}, {})
    objects.with_retries(url, lambda: template.consolidate(permit.zarr_store()))
    before, places, changed = _documents(url), _places(store.config, plan.config), {}
    there = {key for name in GROUPS for key in objects.keys_below(url, name)}
    statuses = _statuses(store, plan.config, requested, places)
    for group, content in schema.groups(plan, prediction, index).items():
        for wanted in content.arrays:
            path = f"{group}/{wanted.variable.name}"
            growth = _Growth(permit, path, before[path], wanted.shape, wanted.chunks, places)
            if wanted.values is not None:
                changed[path] = growth.replaced(wanted.values)
            elif wanted.variable.name == "status":
                changed[path] = growth.rewritten(statuses[group])
            elif group == "run":
                changed[path] = growth.replaced(_of_blocks(growth.read(), store, plan, places))
            else:
                changed[path] = growth.rearranged(there)
    attributes = {"config": plan.config.json_text(), "config_hash": plan.config.hash}
    if requested is not None:
        attributes[requests.ATTRIBUTE] = requested.text()
    journal = json.dumps({"attributes": attributes, "documents": changed})
    permit.put({JOURNAL: journal.encode()})
    finish(permit)


def finish(permit: Permit) -> None:
    """Completes a growth whose chunks are all staged; nothing where there is none."""
    url = permit.url
    content = objects.get(url, JOURNAL)
    if content is None:
        return
    journal = json.loads(content)
    documents: dict[str, Document] = journal["documents"]
    permit.put({f"{path}/zarr.json": _text(each) for path, each in documents.items()})
    _change_root(permit, journal["attributes"], documents)
    objects.with_retries(url, lambda: template.consolidate(permit.zarr_store()))
    _delete_unused(permit, documents)
    permit.delete([JOURNAL])
    _change_root(permit, {GROWING: None}, {})


def mark_requested(store: Store, permit: Permit) -> None:
    """Restores which cells are not requested, once the status of whole blocks has been deleted."""
    for group, values in _statuses(
        store, store.config, store.requested, _places(store.config, store.config)
    ).items():
        array = zarr.open_array(permit.zarr_store(), path=f"{group}/status", mode="r+", zarr_format=3)
        objects.with_retries(store.url, partial(array.set_basic_selection, ..., values))


@dataclass(frozen=True)
class _Growth:
    """One array, from its metadata as they are to those of the larger grid.

    Attributes:
        permit: to write to the store.
        path: the array's.
        before: its metadata document.
        shape: that it will have.
        chunks: of an array that is written as a whole.
        places: new indices by dimension.
    """

    permit: Permit
    path: str
    before: Document
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    places: Places

    def read(self) -> np.ndarray:
        return np.asarray(objects.with_retries(self.permit.url, lambda: self._array(self.before)[...]))

    def replaced(self, values: np.ndarray) -> Document:
        """Stages all values, as one chunk; those of the same shape are the same, and are written in place."""
        moved = values.shape != tuple(self.before["shape"])
        chunks = self.chunks if moved else self._lengths
        return self._staged(values, self._after(values.shape, chunks, moved=moved))

    def rewritten(self, values: np.ndarray) -> Document:
        """Stages all values, in chunks as they were; without new cells they are written in place."""
        moved = values.shape != tuple(self.before["shape"])
        return self._staged(values, self._after(values.shape, self._lengths, moved=moved))

    def rearranged(self, there: set[str]) -> Document:
        """Stages every chunk at its new place, where one of its axes has moved.

        Args:
            there: keys of the store.
        """
        dims, old = self.before["dimension_names"], self.before["shape"]
        places = [self.places.get(dim, np.arange(length)) for dim, length in zip(dims, old, strict=True)]
        moved = any(bool((place != np.arange(len(place))).any()) for place in places)
        after = self._after(self.shape, self._lengths, moved=moved)
        if not moved:
            return after
        sources = [list(_sources(*each)) for each in zip(places, old, self.shape, self._lengths, strict=True)]
        copies, rest = {}, []
        for chunk in itertools.product(*sources):
            if all(each.whole is not None for each in chunk):
                key = self._key(self.before, [each.whole for each in chunk])
                if key in there:
                    copies[key] = self._key(after, [each.number for each in chunk])
            else:
                rest.append(chunk)
        self.permit.copy(copies)
        write = partial(self._put_together, self._array(self.before), self._array(after))
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(write, rest))
        return after

    def _put_together(self, old: Any, new: Any, chunk: tuple[_Source, ...]) -> None:
        """Writes a chunk from several old ones."""
        region = tuple(each.region for each in chunk)

        def write() -> None:
            values = np.array(new[region])
            source = tuple(each.source for each in chunk)
            values[np.ix_(*(each.target for each in chunk))] = old.oindex[source]
            new[region] = values

        objects.with_retries(self.permit.url, write)

    def _staged(self, values: np.ndarray, after: Document) -> Document:
        array = self._array(after)
        if values.size:
            objects.with_retries(self.permit.url, partial(array.set_basic_selection, ..., values))
        return after

    def _after(self, shape: tuple[int, ...], chunks: tuple[int, ...], *, moved: bool) -> Document:
        separator = _separator(self.before)
        encoding = {"separator": _OTHER[separator] if moved else separator}
        return self.before | {
            "shape": list(shape),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
            "chunk_key_encoding": {"name": "default", "configuration": encoding},
        }

    @property
    def _lengths(self) -> tuple[int, ...]:
        return tuple(self.before["chunk_grid"]["configuration"]["chunk_shape"])

    def _key(self, document: Document, numbers: list[Any]) -> str:
        separator = _separator(document)
        return f"{self.path}/c{separator}{separator.join(map(str, numbers))}"

    def _array(self, document: Document) -> Any:
        """The array that a document describes, whatever the store says of it."""
        metadata: Any = document
        return zarr.Array(zarr.AsyncArray(metadata, StorePath(self.permit.zarr_store(), self.path)))


@dataclass(frozen=True)
class _Source:
    """Where the cells of a new chunk come from, along one dimension.

    Attributes:
        number: of the chunk.
        region: its cells.
        source: indices of the old ones.
        target: their places in the chunk.
        whole: the old chunk that it is; None where it is no old chunk as it was.
    """

    number: int
    region: slice
    source: np.ndarray
    target: np.ndarray
    whole: int | None


def _sources(place: np.ndarray, old: int, new: int, length: int) -> Iterator[_Source]:
    """The chunks along a dimension that have old cells."""
    came_from = np.full(new, -1)
    came_from[place] = np.arange(old)
    for number in range(math.ceil(new / length)):
        region = slice(number * length, min((number + 1) * length, new))
        found = came_from[region]
        target = np.flatnonzero(found >= 0)
        if not len(target):
            continue
        source, first = found[target], int(found[target[0]]) // length
        whole = np.arange(first * length, min((first + 1) * length, old))
        same = len(source) == len(whole) and (source == whole).all() and target[-1] == len(target) - 1
        yield _Source(number, region, source, target, first if same else None)


_OTHER = {"/": ".", ".": "/"}


def _separator(document: Document) -> str:
    return str(document["chunk_key_encoding"]["configuration"]["separator"])


def _places(old: SweepConfig, new: SweepConfig) -> dict[str, np.ndarray]:
    before, after = requests.values(old), requests.values(new)
    return {axis: np.searchsorted(after[axis], before[axis]) for axis in before}


def _statuses(
    store: Store, config: SweepConfig, requested: Requested | None, places: Places
) -> dict[str, np.ndarray]:
    """Status by group on the larger grid: the old, and what is to be computed pending."""
    cells, pairs = requests.mask(requested, config), requests.pair_draws(requested, config)
    by_pair, found = (places["width"], places["depth"]), {}
    if config.training is not None:
        status = _spread(store.training_status(), cells.shape, tuple(places.values()))
        found["training"] = _marked(status, cells)
    if config.initialization is not None:
        before = _spread(store.pair_draws, pairs.shape, by_pair)
        status = _spread(store.initialization_status(), pairs.shape, by_pair)
        status[(before > 0) & (before < pairs)] = PENDING
        found["initialization"] = _marked(status, pairs > 0)
        wanted = sampling.parts_requested(config, pairs)
        old = store.part_status()
        status = _spread(old, wanted.shape, (*by_pair, np.arange(old.shape[2])))
        changed = sampling.parts_that_change(store.config, before, pairs)
        status[..., : changed.shape[2]][changed] = PENDING
        found["parts"] = _marked(status, wanted)
    return found


def _marked(status: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Status in which what is not computed yet says whether it is requested."""
    left = np.isin(status, (PENDING, NOT_REQUESTED))
    return np.where(left, np.where(wanted, PENDING, NOT_REQUESTED), status).astype(status.dtype)


def _spread(values: np.ndarray, shape: tuple[int, ...], places: tuple[np.ndarray, ...]) -> np.ndarray:
    """Old values at their new places, 0 elsewhere: pending, or no draws."""
    found = np.zeros(shape, dtype=values.dtype)
    found[np.ix_(*places)] = values
    return found


def _of_blocks(old: np.ndarray, store: Store, plan: Plan, places: Places) -> np.ndarray:
    """What is known of blocks, by their new numbers: a block's is that which its first cell lies in."""
    fill = np.nan if old.dtype.kind == "f" else 0
    new = np.full(len(plan), fill, dtype=old.dtype)
    lengths = (*(1 for _ in plan.shape[:-2]), plan.seeds_per_block, plan.rates_per_block)
    trained = math.prod(store.plan_shape)
    if trained:
        starts = [place[::n] // n for place, n in zip(places.values(), lengths, strict=True)]
        new[np.ravel_multi_index(np.ix_(*starts), plan.shape).ravel()] = old[:trained]
    if len(old) > trained:
        drawn = old[trained:].reshape(*store.plan_shape[:2], -1)
        shape = (*plan.shape[:2], plan.part_blocks)
        pairs = (places["width"], places["depth"], np.arange(drawn.shape[2]))
        of_parts = np.full(shape, fill, dtype=old.dtype)
        of_parts[np.ix_(*pairs)] = drawn
        new[plan.training_blocks :] = of_parts.ravel()
    return new


def _documents(url: str) -> dict[str, Document]:
    """The metadata of all arrays, as the root has gathered them."""
    root = json.loads(objects.get(url, "zarr.json") or b"{}")
    found: dict[str, Document] = root["consolidated_metadata"]["metadata"]
    return {path: each for path, each in found.items() if each["node_type"] == "array"}


def _change_root(permit: Permit, attributes: Mapping[str, Any], documents: Mapping[str, Document]) -> None:
    """Changes attributes of the root, and the metadata of arrays that it has gathered, in one object."""
    root = json.loads(objects.get(permit.url, "zarr.json") or b"{}")
    every = {**root["attributes"], **attributes}
    root["attributes"] = {name: value for name, value in every.items() if value is not None}
    if documents:
        root["consolidated_metadata"]["metadata"].update(documents)
    permit.put({"zarr.json": _text(root)})


def _delete_unused(permit: Permit, documents: Mapping[str, Document]) -> None:
    """Deletes chunks under names that their arrays do not use."""
    url = permit.url
    unused = tuple(f"{path}/c{_OTHER[_separator(each)]}" for path, each in documents.items())
    for group in GROUPS:
        mine = tuple(each for each in unused if each.startswith(f"{group}/"))
        keys = [key for key in objects.keys_below(url, group) if key.startswith(mine)]
        permit.delete(keys)
        objects.prune(url, keys)


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()
