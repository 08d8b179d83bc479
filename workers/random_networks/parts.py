"""A fixed grid of draws: parts, and 64 groups in each, every one with random numbers of its own.

The grid depends on the measurement alone, never on how many tasks share the draws, in which order or in
which attempt; sums of a part are kept by group, and pooled by exactly rounded addition. So any division
into tasks gives the same bits, and more draws leave all full parts as they are.
"""

from __future__ import annotations

import math

import numpy as np

from widesweep.workers.jackknife import GROUPS


def count(draws: int, part_draws: int) -> int:
    """The parts into which draws are divided.

    >>> count(1000, 512), count(1024, 512)
    (2, 2)
    """
    return -(-draws // part_draws)


def sizes(draws: int, part_draws: int, part: int) -> np.ndarray:
    """Draws of each group in a part, shape (64,); the last part may be smaller, later ones are empty.

    >>> sizes(100, 64, 0).sum(), sizes(100, 64, 1).sum(), sizes(100, 64, 2).sum()
    (np.int64(64), np.int64(36), np.int64(0))
    """
    inside = min(max(draws - part * part_draws, 0), part_draws)
    return np.asarray(inside // GROUPS + (np.arange(GROUPS) < inside % GROUPS))


def pooled(sums: np.ndarray, draws: int, part_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of each group over all parts, and its draws; empty groups are left out.

    Sums are of powers about a centre that is known beforehand (the infinite-width value), so that they can
    be added without loss of digits; `math.fsum` rounds once, whatever the order.

    Args:
        sums: shape (parts, 64, statistics).
        draws: in all.
        part_draws: draws of a full part.

    Returns:
        Means, shape (groups, statistics), and draws, shape (groups,).

    >>> means, draws = pooled(np.ones((2, 64, 1)), 128, 64)
    >>> float(means[0, 0]), int(draws[0])
    (1.0, 2)
    """
    total = np.sum([sizes(draws, part_draws, part) for part in range(len(sums))], axis=0)
    added = np.array(
        [[math.fsum(sums[:, g, k]) for k in range(sums.shape[2])] for g in range(GROUPS)], dtype=np.float64
    )
    there = total > 0
    return added[there] / total[there, None], total[there]
