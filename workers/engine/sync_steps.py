"""Sync steps: recorded steps, and enough in between that a divergence is seen early."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

CHECK_STEPS = 32  # longest segment of steps without a check for divergence
SHORTEST_UPDATE = 4  # steps of a segment from which an input-space update wins back its two extra products


def sync_steps(recorded: tuple[int, ...]) -> Iterator[int]:
    """The sync steps of a run: recorded steps, every CHECK_STEPS, and the last one twice.

    >>> list(sync_steps((0, 1, 40)))
    [0, 1, 32, 40, 40]
    """
    for first, last in itertools.pairwise(recorded):
        yield first
        yield from range(first - first % CHECK_STEPS + CHECK_STEPS, last, CHECK_STEPS)
    yield from (recorded[-1], recorded[-1])


@functools.lru_cache(maxsize=8)
def segment_lengths(recorded: tuple[int, ...]) -> np.ndarray:
    """Steps from each sync step to the next, shape (sync steps − 1,); kept, as a plan asks for every pair.

    >>> segment_lengths((0, 1, 40)).tolist()
    [1, 31, 8]
    """
    lengths = np.diff(np.fromiter(sync_steps(recorded), dtype=np.int64))[:-1]
    lengths.flags.writeable = False
    return lengths


class SyncGroup(NamedTuple):
    """Sync steps that are taken in one go.

    Attributes:
        pairs: each sync step, and the one that follows.
        moves: whether all are recorded and a step apart, so that the steps may be taken along.
    """

    pairs: tuple[tuple[int, int], ...]
    moves: bool


def sync_groups(recorded: tuple[int, ...], first: int = 0, most: int = 0) -> Iterator[SyncGroup]:
    """All sync steps from one on, singly, except that recorded ones a step apart come together.

    Args:
        recorded: recorded steps, ascending from 0.
        first: the sync step with which it begins.
        most: the most of those a step apart that come together; 0: none do.

    >>> [run.pairs for run in sync_groups((0, 1, 2, 40), most=8)]
    [((0, 1), (1, 2)), ((2, 32),), ((32, 40),), ((40, 40),)]
    """
    known = set(recorded)
    together: list[tuple[int, int]] = []
    for step, following in itertools.pairwise(sync_steps(recorded)):
        if step < first:
            continue
        joins = most > 0 and step in known and following == step + 1
        if together and (not joins or len(together) == most):
            yield SyncGroup(tuple(together), moves=True)
            together = []
        if joins:
            together.append((step, following))
        else:
            yield SyncGroup(((step, following),), moves=False)
    if together:
        yield SyncGroup(tuple(together), moves=True)
