"""One block into its chunks: one writer, data first, status last, each file at once or not at all."""

from __future__ import annotations

import functools
import itertools
import math
import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.errors import ZarrUserWarning

from widesweep.pipeline.plan.blocks import LONG, Block
from widesweep.pipeline.store import address, conditional, encoding, inventory, objects
from widesweep.pipeline.store.permit import Permit
from widesweep.workers.variable import FAILED, PENDING

Arrays = dict[str, dict[str, Any]]  # by group and name


class OwnershipError(AssertionError):
    """A block tried to write what is not exactly its own chunk: a defect of the plan, never of the input."""


def writer(permit: Permit, config_hash: str) -> ChunkWriter:
    """This process's writer for a store; arrays are opened once, anew in a forked process or a grown grid."""
    return ChunkWriter(permit, _arrays(permit.url, config_hash, os.getpid()))


@functools.lru_cache(maxsize=4)
def _arrays(url: str, config_hash: str, process: int) -> Arrays:
    return objects.with_retries(url, lambda: _open_arrays(url))


class ChunkWriter:
    """Writes whole blocks of one store.

    It encodes a chunk as the arrays' metadata say (little-endian bytes, zstd, crc32c) and puts it in place
    by itself: through Zarr's own array writes 15 variables took 12 ms, this takes 2.
    """

    def __init__(self, permit: Permit, arrays: Arrays | None = None) -> None:
        """Keeps every measured array of the store; opens them unless they are given."""
        self._permit, self._url = permit, permit.url
        self.arrays = arrays or objects.with_retries(permit.url, lambda: _open_arrays(permit.url))

    def take(self, block: Block) -> None:
        """Begins an attempt: a partly stored block is not sealed until its status is written again.

        On S3 it also makes the status this attempt's: the condition of an earlier put fails from now on.
        """
        mark = {"attempt": self._permit.attempt} if conditional.spoken(self._url) else None
        if mark or block.state.recompute:
            array = self.arrays[block.kind]["status"]
            region = _region(block, array)
            values = self._read(array, region)
            if mark or not encoding.is_fill(values, array):
                self._put([(encoding.key_of(array, region), encoding.encode(array, values, mark))])

    def write(self, block: Block, measured: xr.Dataset) -> None:
        """Writes all variables of a block, then its status, which seals them.

        Raises:
            OwnershipError: the block is not exactly one chunk of an array, or a variable is missing.
        """
        array = self.arrays[block.kind]["status"]
        content = dict(self._encoded(block, measured))
        status = _fitted(measured["status"], array, _region(block, array), block)
        self._put(content.items())
        if block.state.recompute:
            content |= self._forget_failures(block, status)
        self._put_status(block, status, content)

    def write_records(self, block: Block, measured: xr.Dataset) -> None:
        """Writes the records of a block in mid-training: all variables but its status."""
        self._put(self._encoded(block, measured))

    def write_failed(self, block: Block, reason: str) -> None:
        """Marks cells of a block that were to be computed failed, with the reason; numbers stay."""
        array, texts = self.arrays[block.kind]["status"], self.arrays["failures"].get(block.kind)
        region = _region(block, array)
        status = self._read(array, region)
        failed = np.isin(status, block.state.recompute or (PENDING,))
        if texts is not None:
            kept = np.asarray(self._read(texts, region), dtype=object)
            kept[failed] = reason
            self._put_texts(texts, region, kept)
        values = np.where(failed, FAILED, status).astype(array.dtype)
        self._put_status(block, values, self._there(block))

    def _put_status(self, block: Block, values: np.ndarray, content: Mapping[str, bytes]) -> None:
        """Writes a block's status, sealing its chunks."""
        array = self.arrays[block.kind]["status"]
        if not encoding.is_fill(values, array):
            note = encoding.seal(content, values.ndim)
            key = encoding.key_of(array, _region(block, array))
            self._put([(key, encoding.encode(array, values, note))])

    def _there(self, block: Block) -> dict[str, bytes]:
        """The chunks of a block that the store has, but for its status."""
        arrays = [array for name, array in self._numbers(block.kind) if name != "status"]
        arrays += [array for name, array in self._numbers("failures") if name == block.kind]
        keys = [
            encoding.key_of(array, part) for array in arrays for part in _chunks(_region(block, array), array)
        ]
        return dict(objects.get_many(self._url, keys))

    def to_do(self, block: Block) -> np.ndarray:
        """What of a block is to be computed: cells, shape (seeds, learning rates), or parts, (parts,)."""
        array = self.arrays[block.kind]["status"]
        status = self._of_block(array, block)
        states = block.state.recompute
        return np.isin(status, states) if states else np.ones(status.shape, dtype=bool)

    def stored(self, block: Block) -> dict[str, np.ndarray]:
        """What the store holds of a block, by variable, without the axes on which a block is one value."""
        return {name: self._of_block(array, block) for name, array in self._numbers(block.kind)}

    def _of_block(self, array: Any, block: Block) -> np.ndarray:
        values = self._read(array, _region(block, array))
        return np.asarray(values[(0,) * len(_fixed_dims(array, block))])

    def parts(self, width: int, depth: int) -> dict[str, np.ndarray]:
        """What the store holds of all parts of a (width, depth), by variable."""
        return {
            name: np.asarray(
                objects.with_retries(self._url, partial(operator.getitem, array, (width, depth)))
            )
            for name, array in self._numbers("parts")
        }

    def _forget_failures(self, block: Block, status: np.ndarray) -> dict[str, bytes]:
        """Keeps the reasons of the cells that are still failed, and no others; returns their chunk."""
        texts = self.arrays["failures"].get(block.kind)
        if texts is None:
            return {}
        region = _region(block, texts)
        kept, key = np.asarray(self._read(texts, region), dtype=object), encoding.key_of(texts, region)
        kept[status.reshape(kept.shape) != FAILED] = ""
        if any(kept.ravel()):
            self._put_texts(texts, region, kept)
        else:
            self._permit.delete([key])
        return dict(objects.get_many(self._url, [key]))

    def _numbers(self, kind: str) -> list[tuple[str, Any]]:
        """The arrays of a group that blocks write."""
        return list(self.arrays[kind].items())

    def _put(self, chunks: Iterable[tuple[str, bytes]]) -> None:
        self._permit.put(dict(chunks))

    def _put_texts(self, texts: Any, region: tuple[slice, ...], kept: np.ndarray) -> None:
        array = zarr.open_array(self._permit.zarr_store(), path=texts.path, mode="r+", zarr_format=3)
        objects.with_retries(self._url, lambda: array.set_basic_selection(region, kept))

    def _read(self, array: Any, region: tuple[slice, ...]) -> np.ndarray:
        return np.asarray(objects.with_retries(self._url, lambda: array[region]))

    def _encoded(self, block: Block, measured: xr.Dataset) -> Iterator[tuple[str, bytes]]:
        """Chunks of all variables but the status, by key."""
        for name, array in self._numbers(block.kind):
            if name not in measured:
                raise OwnershipError(f"block {block.index} brings no {name}")
            if name == "status":
                continue
            region = _region(block, array)
            values = _fitted(measured[name], array, region, block)
            for part in _chunks(region, array):
                inside = tuple(
                    slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True)
                )
                if not encoding.is_fill(values[inside], array):
                    yield encoding.key_of(array, part), encoding.encode(array, values[inside])


def read_all(url: str, array: Any) -> np.ndarray:
    """A whole array of many small chunks, ten times as fast as through Zarr's own reads.

    Raises:
        DamagedError: a chunk is not what was written; names it.
    """
    if tuple(map(type, array.compressors)) != tuple(map(type, encoding.COMPRESSORS)):
        return np.asarray(objects.with_retries(url, lambda: array[...]))  # of another hand
    values = np.full(array.shape, array.fill_value, dtype=array.dtype)
    counts = [math.ceil(length / chunk) for length, chunk in zip(array.shape, array.chunks, strict=True)]
    places = {encoding.key(array, n): n for n in itertools.product(*map(range, counts))}
    for key, content in objects.get_many(url, list(places)):
        chunk = encoding.decode(url, key, array, content)
        starts = [n * length for n, length in zip(places[key], array.chunks, strict=True)]
        region = tuple(
            slice(s, min(s + c, total)) for s, c, total in zip(starts, array.chunks, array.shape, strict=True)
        )
        values[region] = chunk[tuple(slice(0, part.stop - part.start) for part in region)]
    return values


def _open_arrays(url: str) -> Arrays:
    """What blocks write, by group: what others have put beside it is theirs."""
    root: Any = zarr.open_group(address.zarr_store(url), mode="r", use_consolidated=False)
    made = inventory.read(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # of files that are no part of Zarr's
        found = {
            kind: {name: array for name, array in root[kind].arrays() if _is_measured(array)}
            for kind in (*inventory.MEASURED, encoding.FAILURES)
            if kind in root
        }
    if made is None:
        return found
    return {
        kind: {name: array for name, array in arrays.items() if f"{kind}/{name}" in made.documents}
        for kind, arrays in found.items()
    }


def _is_measured(array: Any) -> bool:
    """Blocks write what has a width and a depth, but for η, which the template holds."""
    dims = tuple(array.metadata.dimension_names or ())
    return dims[:2] == ("width", "depth") and array.basename not in inventory.NOT_MEASURED


def _fixed_dims(array: Any, block: Block) -> tuple[str, ...]:
    """The array's leading dimensions along which a block has one value."""
    return tuple(dim for dim in array.metadata.dimension_names if dim in block.region and dim not in LONG)


def _region(block: Block, array: Any) -> tuple[slice, ...]:
    """The block's place in an array, checked to be exactly one chunk along the axes of the grid."""
    owned = block.region
    dims = array.metadata.dimension_names
    region = tuple(owned.get(dim, slice(0, length)) for dim, length in zip(dims, array.shape, strict=True))
    for dim, part, chunk, length in zip(dims, region, array.chunks, array.shape, strict=True):
        whole = part.start % chunk == 0 and part.stop == min(part.start + chunk, length)
        if dim not in owned:
            continue
        if not whole or part.stop <= part.start:
            raise OwnershipError(
                f"block {block.index} asks for {dim}[{part.start}:{part.stop}] of {array.path}, "
                f"whose chunks are {chunk} of {length} long"
            )
    return region


def _chunks(region: tuple[slice, ...], array: Any) -> Iterator[tuple[slice, ...]]:
    """The chunks of a block: one, or several along `layer` once the grid has grown deeper."""
    axes = [
        [slice(start, min(start + chunk, part.stop)) for start in range(part.start, part.stop, chunk)]
        for part, chunk in zip(region, array.chunks, strict=True)
    ]
    return itertools.product(*axes)


def _fitted(values: xr.DataArray, array: Any, region: tuple[slice, ...], block: Block) -> np.ndarray:
    """Values in the array's order of dimensions, layers that this depth does not have left as fill."""
    dims = [dim for dim in array.metadata.dimension_names if dim not in block.region or dim in LONG]
    found = np.asarray(values.transpose(*dims).values, dtype=array.dtype)
    found = found.reshape((1,) * len(_fixed_dims(array, block)) + found.shape)
    wanted = tuple(part.stop - part.start for part in region)
    padded = np.full(wanted, array.fill_value, dtype=array.dtype)
    place = tuple(slice(0, length) for length in found.shape)
    short = [d for d, f, w in zip(array.metadata.dimension_names, found.shape, wanted, strict=True) if f != w]
    if short not in ([], ["layer"]) or any(f > w for f, w in zip(found.shape, wanted, strict=True)):
        raise OwnershipError(
            f"block {block.index} brings {array.path} of shape {found.shape}, its chunk is {wanted}"
        )
    padded[place] = found
    return padded
