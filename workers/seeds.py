"""Randomness that depends on a cell's coordinates alone."""

from __future__ import annotations

import zlib

import numpy as np


def generator(stream: str, *coordinates: int) -> np.random.Generator:
    """A counter-based random generator keyed by a stream's name and integer coordinates.

    The same key gives the same numbers in any process, order, batch or attempt; different keys give
    independent streams (Philox 4x64, keyed through `numpy.random.SeedSequence`).

    Args:
        stream: what the numbers are for, such as "weights".
        coordinates: integers >= 0, such as (config seed, width, depth, cell seed, layer).

    Returns:
        A NumPy generator at the start of its stream.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).

    >>> float(generator("weights", 0, 64, 2, 1).normal()) == float(generator("weights", 0, 64, 2, 1).normal())
    True
    """
    entropy = (zlib.crc32(stream.encode()), *coordinates)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
