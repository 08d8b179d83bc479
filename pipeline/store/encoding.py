"""A chunk's bytes: its values, a note that readers of Zarr skip, and a checksum at the end.

The status chunk of a block carries the block's seal as its note: the checksum of every other chunk of the
block. Status comes last, so that a seal speaks of all that the block wrote. A chunk that was put into
another's place fits its own checksum, but not the seal; one that was taken away is missed by it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import google_crc32c
import numcodecs  # type: ignore[import-untyped]  # no stubs
import numpy as np
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from widesweep.pipeline.errors import DamagedError
from widesweep.pipeline.store import frame_size

ZSTD_LEVEL = 3
SKIPPED_FRAME = (0x184D2A50).to_bytes(4, "little")  # of zstd
SERIALIZER = BytesCodec(endian="little")
COMPRESSORS = (ZstdCodec(level=ZSTD_LEVEL), Crc32cCodec())
NUMBER = 4  # bytes of a length or a checksum

FAILURES = "failures"  # the group of reasons, an array for each group of blocks
SEALED = "chunks"  # in the note of a status chunk

Note = Mapping[str, Any]


def encode(array: Any, values: np.ndarray, note: Note | None = None) -> bytes:
    """A chunk's bytes; a chunk at the array's edge is filled up to its full shape.

    Source: RFC 8878, section 3.1.2, for the frame that holds a note.
    """
    full = values
    if values.shape != array.chunks:
        full = np.full(array.chunks, array.fill_value, dtype=array.dtype)
        full[tuple(slice(0, length) for length in values.shape)] = values
    little = np.ascontiguousarray(full, dtype=array.dtype.newbyteorder("<"))
    content = bytes(_zstd().encode(little))
    if note:
        text = json.dumps(note, sort_keys=True, separators=(",", ":")).encode()
        content += SKIPPED_FRAME + _bytes(len(text) + NUMBER) + text + _bytes(len(text))
    return content + _bytes(int(google_crc32c.value(content)))


def decode(url: str, key: str, array: Any, content: bytes) -> np.ndarray:
    """What `encode` made bytes of.

    Raises:
        DamagedError: the bytes are not those that were written.
    """
    try:
        if not is_whole(content):
            raise ValueError("checksum")
        if frame_size.of(content) != math.prod(array.chunks) * array.dtype.itemsize:
            raise ValueError("size")
        whole = bytes(_zstd().decode(content[:-NUMBER]))
        return np.frombuffer(whole, dtype=array.dtype.newbyteorder("<")).reshape(array.chunks)
    except (ValueError, RuntimeError):
        raise DamagedError(url, [key]) from None


def note_of(content: bytes) -> dict[str, Any]:
    """A chunk's note; empty where it has none."""
    body = content[:-NUMBER]
    length = int.from_bytes(body[-NUMBER:], "little")
    frame = body[-length - 3 * NUMBER :]
    if len(body) <= length + 3 * NUMBER or frame[:NUMBER] != SKIPPED_FRAME:
        return {}
    try:
        found = json.loads(frame[2 * NUMBER : -NUMBER])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_whole(content: bytes) -> bool:
    """Whether a chunk's last four bytes are the crc32c of the others.

    >>> is_whole(b"1234"), is_whole(b"abc" + int(google_crc32c.value(b"abc")).to_bytes(4, "little"))
    (False, True)
    """
    body, end = content[:-NUMBER], content[-NUMBER:]
    return len(end) == NUMBER and _bytes(int(google_crc32c.value(body))) == end


def checksum(content: bytes) -> str:
    """What a seal says of a chunk: its last four bytes, in hexadecimal digits.

    >>> checksum(b"abc" + b"1234")
    '31323334'
    """
    return content[-NUMBER:].hex()


def is_fill(values: np.ndarray, array: Any) -> bool:
    """Whether a chunk is not stored, since all its values are the array's fill value."""
    fill = array.fill_value
    return bool(
        np.all(np.isnan(values)) if values.dtype.kind == "f" and np.isnan(fill) else np.all(values == fill)
    )


def key(array: Any, numbers: Iterable[int]) -> str:
    """Where a chunk lies, as the array's metadata say."""
    return f"{array.path}/{array.metadata.encode_chunk_key(tuple(numbers))}"


def key_of(array: Any, region: tuple[slice, ...]) -> str:
    """Where the chunk with a region lies."""
    return key(array, (part.start // chunk for part, chunk in zip(region, array.chunks, strict=True)))


def seal(content: Mapping[str, bytes], axes: int) -> dict[str, dict[str, str]]:
    """The note of a block's status: the checksum of each of its other chunks.

    Args:
        content: these chunks by key.
        axes: dimensions of the status array.

    >>> seal({"training/loss/c/0/1/0/0/0": b"abc1234"}, 4)
    {'chunks': {'loss 0': '31323334'}}
    """
    return {SEALED: {place_in_block(key, axes): checksum(chunk) for key, chunk in content.items()}}


def place_in_block(key: str, axes: int) -> str:
    """How a seal calls a chunk: by array, and its numbers along the axes that `status` lacks.

    They stay when the grid grows. Reasons of failures are an array of another group, named by that group.

    >>> place_in_block("training/layer_relative_change/c.3.1.0.0.5.1", 4)
    'layer_relative_change 5 1'
    """
    group, name, numbers = parted(key)
    return " ".join([group if group == FAILURES else name, *map(str, numbers[axes:])])


def parted(key: str) -> tuple[str, str, tuple[int, ...]]:
    """A chunk's group, array and numbers.

    >>> parted("training/loss/c/0/1/0/0/0"), parted("parts/draws/c.2.0.1")
    (('training', 'loss', (0, 1, 0, 0, 0)), ('parts', 'draws', (2, 0, 1)))
    """
    group, name, chunk = key.split("/", 2)
    return group, name, tuple(map(int, chunk[2:].split(chunk[1])))


def _bytes(number: int) -> bytes:
    return number.to_bytes(NUMBER, "little")


@functools.cache
def _zstd() -> Any:
    return numcodecs.Zstd(level=ZSTD_LEVEL)
