"""When training looks at its cells: at records, and often enough in between to see a divergence early."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

CHECK_STEPS = 32  # longest stretch of steps without a look for divergence
FEWEST_HELD = 4  # steps of a stretch in which the two products that a held layer takes are won back


def looks(recorded: tuple[int, ...]) -> Iterator[int]:
    """The steps at which a batch is looked at: recorded ones, every CHECK_STEPS, and the last one twice.

    >>> list(looks((0, 1, 40)))
    [0, 1, 32, 40, 40]
    """
    for first, last in itertools.pairwise(recorded):
        yield first
        yield from range(first - first % CHECK_STEPS + CHECK_STEPS, last, CHECK_STEPS)
    yield from (recorded[-1], recorded[-1])


class Run(NamedTuple):
    """Looks that are taken in one go.

    Attributes:
        pairs: the step of each, and that of the look that follows.
        moves: whether all are recorded and a step apart, so that the steps may be taken along.
    """

    pairs: tuple[tuple[int, int], ...]
    moves: bool


def runs(recorded: tuple[int, ...], first: int = 0, most: int = 0) -> Iterator[Run]:
    """All looks from a step on: one by one, but for recorded ones a step apart.

    Args:
        recorded: recorded steps, ascending from 0.
        first: a look, with which it begins.
        most: so many of those a step apart come together at most; 0: none do.

    >>> [run.pairs for run in runs((0, 1, 2, 40), most=8)]
    [((0, 1), (1, 2)), ((2, 32),), ((32, 40),), ((40, 40),)]
    """
    known = set(recorded)
    together: list[tuple[int, int]] = []
    for step, following in itertools.pairwise(looks(recorded)):
        if step < first:
            continue
        joins = most > 0 and step in known and following == step + 1
        if together and (not joins or len(together) == most):
            yield Run(tuple(together), moves=True)
            together = []
        if joins:
            together.append((step, following))
        else:
            yield Run(((step, following),), moves=False)
    if together:
        yield Run(tuple(together), moves=True)
