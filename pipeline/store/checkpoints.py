"""Checkpoints of blocks in mid-training: one safetensors object each, put whole, read back only if sound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np

from widesweep.pipeline.plan.blocks import Block
from widesweep.pipeline.store import objects

PLACE = "run/block_attempts/checkpoints"  # inside an array's folder, where no reader of Zarr looks
PIECE_BYTES = 16 * 2**20
_TYPES = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "int8": "I8", "uint8": "U8"}
_NAMES = {short: name for name, short in _TYPES.items()}


def key(block: Block, first_seed: int) -> str:
    """Where a block's checkpoint lies: by its place in the grid, which stays when the grid grows.

    Args:
        block: which.
        first_seed: index along `seed` of the first that the checkpoint is of.
    """
    numbers = (block.width, block.depth, block.variant, block.seed_start, block.rate_start, first_seed)
    return f"{PLACE}/{'.'.join(map(str, numbers))}.safetensors"


def are_of(block: Block, names: frozenset[str]) -> bool:
    """Whether any of the names in `PLACE` is a checkpoint of this block."""
    stem = key(block, 0).rpartition("/")[2].removesuffix("0.safetensors")
    return block.kind == "training" and any(name.startswith(stem) for name in names)


def names(url: str) -> frozenset[str]:
    """Names of all checkpoints of a store: one listing of one folder."""
    return frozenset(objects.names(url, PLACE))


def clear(url: str) -> None:
    """Deletes what finished blocks have left behind."""
    objects.delete(url, [f"{PLACE}/{name}" for name in names(url)])


def encode(arrays: Mapping[str, np.ndarray], identity: str) -> list[bytes | memoryview]:
    """Arrays as the parts of a safetensors file, with a checksum and what they belong to.

    The format: eight bytes with the header's length, a JSON header of types, shapes and places, the numbers.
    Source: huggingface/safetensors, README, "Format".

    >>> content = b"".join(encode({"step": np.arange(2)}, "mine"))
    >>> decode(content, "mine")["step"], decode(content, "other"), decode(content[:-1], "mine")
    (array([0, 1]), None, None)
    """
    header: dict[str, Any] = {}
    parts: list[bytes | memoryview] = []
    checksum, place = 0, 0
    for name, values in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        offsets = [place, place + flat.nbytes]
        header[name] = {
            "dtype": _TYPES[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": offsets,
        }
        place = offsets[1]
        checksum = _extended(checksum, flat)
        parts.append(flat)
    header["__metadata__"] = {"identity": identity, "crc32c": f"{checksum:08x}"}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *parts]


def decode(content: bytes | None, identity: str) -> dict[str, np.ndarray] | None:
    """The arrays; None if they are damaged or of other cells, and training begins anew."""
    if content is None:
        return None
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        metadata, body = header.pop("__metadata__"), memoryview(content)[start:]
        if metadata["identity"] != identity or metadata["crc32c"] != f"{_extended(0, body):08x}":
            return None
        return {name: _array(body, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _extended(checksum: int, content: memoryview) -> int:
    """crc32c of what came before and this, piece by piece: the library takes bytes alone."""
    for first in range(0, len(content), PIECE_BYTES):
        piece = bytes(content[first : first + PIECE_BYTES])
        checksum = int(google_crc32c.extend(checksum, piece))
    return checksum


def _array(body: memoryview, entry: dict[str, Any]) -> np.ndarray:
    first, last = entry["data_offsets"]
    return np.frombuffer(body[first:last], dtype=_NAMES[entry["dtype"]]).reshape(entry["shape"])
