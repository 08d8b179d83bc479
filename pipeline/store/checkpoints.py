"""Checkpoints of blocks in mid-training: one safetensors object each, put whole, read back only if sound."""

from __future__ import annotations

import json
from collections.abc import Mapping

import google_crc32c
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import requested
from widesweep.pipeline.plan.blocks import Block
from widesweep.pipeline.store import objects
from widesweep.pipeline.store.permit import Permit

Marks = frozenset[tuple[str, str]]

PLACE = "run/block_attempts/checkpoints"  # inside an array's folder, where no reader of Zarr looks


def key(config: SweepConfig, block: Block, first_seed: int) -> str:
    """Where a block's checkpoint lies: by coordinates, which stay when the grid grows.

    Args:
        config: the sweep.
        block: which.
        first_seed: index along `seed` of the first that the checkpoint is of.
    """
    return f"{PLACE}/{_stem(config, block)}{config.grid.seeds[first_seed]}.safetensors"


def are_of(config: SweepConfig, block: Block, names: frozenset[str]) -> bool:
    """Whether any of the names in `PLACE` is a checkpoint of this block."""
    if block.kind != "training" or not names:
        return False
    stem = _stem(config, block)
    return any(name.startswith(stem) for name in names)


def _stem(config: SweepConfig, block: Block) -> str:
    values = requested.values(config)
    return "".join(f"{values[axis][each.start]}_" for axis, each in block.region.items())


def names(url: str) -> frozenset[str]:
    """Names of all checkpoints of a store: one listing of one folder."""
    return frozenset(objects.names(url, PLACE))


def marks(url: str, config: SweepConfig, block: Block) -> Marks:
    """The checkpoints that a block has now; others than before tell that it got further."""
    if block.kind != "training":
        return frozenset()
    mine = [f"{PLACE}/{name}" for name in names(url) if name.startswith(_stem(config, block))]
    return frozenset((key, objects.mark(url, key)) for key in mine)


def clear(permit: Permit) -> None:
    """Deletes what finished blocks have left behind."""
    permit.delete([f"{PLACE}/{name}" for name in names(permit.url)])


def encode(arrays: Mapping[str, np.ndarray], identity: str) -> bytes:
    """Arrays as a safetensors file, with a checksum and what they belong to.

    >>> content = encode({"step": np.arange(2)}, "mine")
    >>> decode(content, "mine")["step"], decode(content, "other"), decode(content[:-1], "mine")
    (array([0, 1]), None, None)
    """
    dense = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    return safetensors.numpy.save(dense, {"identity": identity, "crc32c": _checksum(dense)})


def decode(content: bytes | None, identity: str) -> dict[str, np.ndarray] | None:
    """The arrays; None if they are damaged or of other cells, and training begins anew."""
    if content is None:
        return None
    try:
        arrays = safetensors.numpy.load(content)
    except (SafetensorError, ValueError):
        return None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    wanted = {"identity": identity, "crc32c": _checksum(arrays)}
    return arrays if header.get("__metadata__") == wanted else None


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    checksum = 0
    for name in sorted(arrays):
        checksum = google_crc32c.extend(checksum, arrays[name].tobytes())
    return f"{checksum:08x}"
