"""When training looks at its cells: at records, and often enough in between to see a divergence early."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

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
