"""Chunks that are no longer what was written, or are gone: found, and given back to the plan."""

from __future__ import annotations

import functools
import json
import math
import re
from collections import defaultdict
from typing import Any

import google_crc32c
import numpy as np
import zarr

from widesweep.pipeline.store import address, objects
from widesweep.pipeline.store.permit import Permit
from widesweep.workers.variable import DONE

GROUPS = (
    "training",
    "initialization",
    "parts",
    "failures",
    "theory",
    "run",
)  # ours: every chunk ends with its crc32c
MEASURED = ("training", "initialization", "parts")
NOT_MEASURED = ("learning_rate_absolute",)  # has a width and a depth, and is of the template


NEVER_ZERO = (
    "width",
    "depth",
    "order",
    "layer",
    "mode",
    "prediction",
    "output_scale",
)  # so that their chunks are stored
ALWAYS_THERE = {"training": "loss", "initialization": "draws", "parts": "draws"}  # of every finished cell


def find(url: str) -> list[str]:
    """Keys of all chunks that are damaged or missing, sorted; reads the whole store."""
    _metadata.cache_clear()
    found = [key for group in GROUPS for key in objects.keys_below(url, group)]
    # A chunk has either of two names.
    keys = [key for key in found if re.fullmatch(r"[^/]+/[^/]+/c([/.])\d+(\1\d+)*", key) is not None]
    damaged = [key for key in keys if not is_whole(objects.get(url, key) or b"")]
    gone = [key for group in MEASURED for key in _missing(url, group, keys, set(damaged))]
    return sorted([*damaged, *gone, *_missing_coordinates(url, found)])


def _missing_coordinates(url: str, found: list[str]) -> list[str]:
    """Chunks that a coordinate lacks: its values differ, so one zero, which is not stored, at most."""
    arrays = [key.split("/") for key in found if key.endswith("/zarr.json") and key.count("/") == 2]
    gone = []
    for group, name, _ in arrays:
        metadata = _metadata(url, group, name)
        if _dims(url, group, name) != [name]:
            continue
        length, chunk = metadata["shape"][0], metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        for number in range(math.ceil(length / chunk)):
            several = min(chunk, length - number * chunk) > 1
            if several or name in NEVER_ZERO:
                gone.append(_key(url, group, name, (number,)))
    return sorted(set(gone) - set(found))


def _missing(url: str, group: str, keys: list[str], damaged: set[str]) -> list[str]:
    """Chunks that a block with a finished cell lacks, though another block of its depth has them.

    A chunk of fill values alone is not stored, so its absence says nothing by itself; but which numbers do
    not exist depends on the network and the depth, not on a cell.
    """
    chunks = [_parted(key) for key in keys if key.startswith(f"{group}/")]
    done = _finished(url, group, {numbers for name, numbers in chunks if name == "status"}, damaged)
    if not done:
        return []
    axes = len(next(iter(done)))
    names = {name for name, _ in chunks if name != "status"} | {ALWAYS_THERE[group]}
    names = {name for name in names if _is_of_blocks(url, group, name)}
    rest = len(_dims(url, group, ALWAYS_THERE[group])) - axes
    wanted = defaultdict(set, {block[1]: {(ALWAYS_THERE[group], (0,) * rest)} for block in done})
    for name, numbers in chunks:
        if name in names and numbers[:axes] in done:
            wanted[numbers[1]].add((name, numbers[axes:]))
    present = set(chunks)
    return [
        _key(url, group, name, (*block, *tail))
        for block in done
        for name, tail in wanted[block[1]]
        if name in names and (name, (*block, *tail)) not in present
    ]


def _finished(url: str, group: str, blocks: set[tuple[int, ...]], damaged: set[str]) -> set[tuple[int, ...]]:
    """Blocks with a cell that is done, by the numbers of their status chunk."""
    array: Any = None
    found = set()
    for block in blocks:
        if _key(url, group, "status", block) in damaged:
            continue
        path = f"{group}/status"
        if array is None:
            array = zarr.open_array(address.zarr_store(url), path=path, mode="r", zarr_format=3)
        if (np.asarray(array.blocks[block]) == DONE).any():
            found.add(block)
    return found


def _parted(key: str) -> tuple[str, tuple[int, ...]]:
    """An array's name and a chunk's numbers.

    >>> _parted("training/loss/c/0/1/0/0/0"), _parted("parts/draws/c.2.0.1")
    (('loss', (0, 1, 0, 0, 0)), ('draws', (2, 0, 1)))
    """
    _, name, chunk = key.split("/", 2)
    return name, tuple(map(int, chunk[2:].split(chunk[1])))


def _key(url: str, group: str, name: str, numbers: tuple[int, ...]) -> str:
    """Where a chunk lies."""
    separator = _metadata(url, group, name)["chunk_key_encoding"]["configuration"]["separator"]
    return f"{group}/{name}/c{separator}{separator.join(map(str, numbers))}"


def is_whole(content: bytes) -> bool:
    """Whether a chunk's last four bytes are the crc32c of the others.

    >>> is_whole(b"1234"), is_whole(b"abc" + int(google_crc32c.value(b"abc")).to_bytes(4, "little"))
    (False, True)
    """
    body, end = content[:-4], content[-4:]
    return len(end) == 4 and int(google_crc32c.value(body)) == int.from_bytes(end, "little")


def discard(permit: Permit) -> tuple[list[str], bool]:
    """Takes damaged chunks away; their blocks are pending from then on.

    A block's status goes first, so that it counts as not measured at every moment.

    Returns:
        The damaged keys, and whether any is of the template (coordinates, theory) and must be written again.
    """
    damaged = find(permit.url)
    statuses = {key: _status_of(permit.url, key) for key in damaged}
    gone = {status for status in statuses.values() if status}
    parts = {_parted(status)[1][:2] for status in gone if status.startswith("parts/")}  # whose pairs go too
    pairs = {_key(permit.url, "initialization", "status", pair) for pair in parts}
    permit.delete(sorted(gone | pairs))
    permit.delete(damaged)
    return damaged, None in statuses.values()


def _status_of(url: str, key: str) -> str | None:
    """The status chunk of a measured chunk's block: every array begins with the axes of `status`."""
    group, (name, numbers) = key.split("/")[0], _parted(key)
    if group == "failures":
        group, name = name, "status"
    if group not in MEASURED or not _is_of_blocks(url, group, name):
        return None
    return _key(url, group, "status", numbers[: len(_dims(url, group, "status"))])


def _is_of_blocks(url: str, group: str, name: str) -> bool:
    return name not in NOT_MEASURED and _dims(url, group, name)[:2] == ["width", "depth"]


def _dims(url: str, group: str, name: str) -> list[str]:
    return list(_metadata(url, group, name).get("dimension_names") or [])


@functools.lru_cache(maxsize=256)  # of one search; dimensions never change
def _metadata(url: str, group: str, name: str) -> dict[str, Any]:
    return dict(json.loads(objects.get(url, f"{group}/{name}/zarr.json") or b"{}"))
