"""One array of a store on a larger grid: its chunks staged where they will be, under names not in use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from widesweep.pipeline.store import encoding, inventory, objects
from widesweep.pipeline.store.inventory import Document
from widesweep.pipeline.store.permit import Permit

THREADS = 8  # chunks that are read and written at once
OTHER_SEPARATOR = {"/": ".", ".": "/"}

Places = Mapping[str, np.ndarray]  # by dimension: the new index of each old one


@dataclass(frozen=True)
class ArrayGrowth:
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
        """Its values as they are."""
        return np.asarray(objects.with_retries(self.permit.url, lambda: self._array(self.before)[...]))

    def replaced(self, values: np.ndarray) -> Document:
        """Stages all values, as one chunk; those of the same shape are the same, and are written in place."""
        moved = values.shape != tuple(self.before["shape"])
        chunks = self.chunks if moved else self._lengths
        return self._staged(values, self._after(values.shape, chunks, moved=moved))

    def resealed(self, values: np.ndarray, members: Mapping[str, Document]) -> Document:
        """Stages the status of each block, with the seal of its chunks where they are now.

        Without new cells those that differ are written in place.

        Args:
            values: status of all cells.
            members: metadata of the group's other arrays as they will be.
        """
        moved = values.shape != tuple(self.before["shape"])
        after = self._after(values.shape, self._lengths, moved=moved)
        array, before = self._array(after), dict(self._statuses_before())
        axes = [
            {each.number: each for each in _sources(place, old, new, length)}
            for place, old, new, length in zip(
                self._axis_places, self.before["shape"], values.shape, self._lengths, strict=True
            )
        ]
        for numbers in itertools.product(
            *(range(math.ceil(n / c)) for n, c in zip(values.shape, self._lengths, strict=True))
        ):
            sources = [axis.get(number) for axis, number in zip(axes, numbers, strict=True)]
            found = values[
                tuple(slice(n * c, (n + 1) * c) for n, c in zip(numbers, self._lengths, strict=True))
            ]
            key = encoding.key(array, numbers)
            if encoding.is_fill(found, array):
                self.permit.delete([key])
            else:
                note = self._note(numbers, sources, before, members)
                content = encoding.encode(array, found, note)
                if before.get(key) != content:
                    self.permit.put({key: content})
        return after

    def _statuses_before(self) -> Iterator[tuple[str, bytes]]:
        counts = [math.ceil(n / c) for n, c in zip(self.before["shape"], self._lengths, strict=True)]
        keys = [self._key(self.before, list(numbers)) for numbers in itertools.product(*map(range, counts))]
        return objects.get_many(self.permit.url, keys)

    def _note(
        self,
        numbers: tuple[int, ...],
        sources: list[_Source | None],
        before: Mapping[str, bytes],
        members: Mapping[str, Document],
    ) -> Mapping[str, Any]:
        """The seal of a block: what it was, or of one that was put together, from its new chunks."""
        if any(each is None for each in sources):
            return {}
        old = [each.whole for each in sources if each is not None]
        if None not in old:
            return encoding.note_of(before.get(self._key(self.before, old), b""))
        keys = []
        for path, each in members.items():
            if inventory.is_of_blocks(path, each):
                lengths = each["chunk_grid"]["configuration"]["chunk_shape"]
                counts = [math.ceil(n / c) for n, c in zip(each["shape"], lengths, strict=True)][
                    len(numbers) :
                ]
                mark = inventory.separator(each)
                keys += [
                    f"{path}/c{mark}{mark.join(map(str, (*numbers, *tail)))}"
                    for tail in itertools.product(*map(range, counts))
                ]
        return encoding.seal(dict(objects.get_many(self.permit.url, keys)), len(numbers))

    def rearranged(self, there: set[str]) -> Document:
        """Stages every chunk at its new place, where one of its axes has moved.

        Args:
            there: keys of the store.
        """
        old, places = self.before["shape"], self._axis_places
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
        separator = inventory.separator(self.before)
        encoding = {"separator": OTHER_SEPARATOR[separator] if moved else separator}
        return self.before | {
            "shape": list(shape),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
            "chunk_key_encoding": {"name": "default", "configuration": encoding},
        }

    @property
    def _axis_places(self) -> list[np.ndarray]:
        """New index of each old one, along each dimension."""
        dims = zip(self.before["dimension_names"], self.before["shape"], strict=True)
        return [self.places.get(dim, np.arange(length)) for dim, length in dims]

    @property
    def _lengths(self) -> tuple[int, ...]:
        return tuple(self.before["chunk_grid"]["configuration"]["chunk_shape"])

    def _key(self, document: Document, numbers: list[Any]) -> str:
        separator = inventory.separator(document)
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
