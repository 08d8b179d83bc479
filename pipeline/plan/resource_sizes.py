"""About a dozen sizes of memory and of GPU shares: a scheduler keeps a queue for each size in use."""

from __future__ import annotations

import math

LEAST_BYTES = 2**29
FINE_UP_TO_BYTES = 2**33  # in steps of √2, of 2 beyond
GPU_SHARES = tuple(k / 40 for k in (5, 8, 10, 13, 20, 40))  # 8, 5, 4, 3, 2 and 1 blocks on one GPU


def memory_bytes(needed: float) -> int:
    """The least size that holds so many bytes.

    >>> [round(memory_bytes(gib * 2**30) / 2**30, 2) for gib in (0.1, 0.6, 1.0, 3.9, 8.1, 100)]
    [0.5, 0.71, 1.0, 4.0, 16.0, 128.0]
    """
    steps = max(0, math.ceil(2 * math.log2(max(needed, 1.0) / LEAST_BYTES) - 1e-9))
    size = LEAST_BYTES * 2 ** (steps / 2)
    if size > FINE_UP_TO_BYTES:
        size = 2 ** math.ceil(math.log2(size) - 1e-9)
    return math.ceil(size)


def gpu_share(needed: float) -> float:
    """The least share of a GPU that holds such a part of it; a whole one at most.

    >>> gpu_share(0.01), gpu_share(0.21), gpu_share(0.42), gpu_share(3.0)
    (0.125, 0.25, 0.5, 1.0)
    """
    return next((share for share in GPU_SHARES if share >= needed), 1.0)
