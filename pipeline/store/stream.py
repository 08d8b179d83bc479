"""A block's records and checkpoint, put into the store as it trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from widesweep.pipeline.store import checkpoints, objects
from widesweep.pipeline.store.permit import Permit

WORK_PER_FLUSH = (
    20.0  # a flush is not due before so many times what the last one took: at most 5 % of the time
)


@dataclass
class Stream:
    """Where a block in training leaves what it has: `checkpoint.Flush` on a store.

    Records go first, so that a reader never sees fewer of them than the checkpoint has.

    Attributes:
        permit: of this attempt at the block.
        key: the checkpoint's place in it.
        identity: tells whose checkpoint it is; asked for when it is needed.
        show: puts the records measured so far where readers find them.
        interval_s: time between flushes.
        alive: is called at each flush, a sign of life.
    """

    permit: Permit
    key: str
    identity: Callable[[], str]
    show: Callable[[dict[str, np.ndarray]], None]
    interval_s: float
    alive: Callable[[], None]
    written: int = 0
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        """The first flush is due after one interval."""
        self._next = time.monotonic() + self.interval_s

    def due(self) -> bool:
        """Whether the interval is over."""
        return time.monotonic() >= self._next

    def write(self, results: dict[str, np.ndarray], arrays: Mapping[str, np.ndarray]) -> None:
        """Puts records and checkpoint into the store."""
        began = time.monotonic()
        self.alive()
        self.show(results)
        self.permit.put({self.key: checkpoints.encode(arrays, self.identity())})
        self.written += 1
        self.alive()
        took_s = time.monotonic() - began
        self._next = time.monotonic() + max(self.interval_s, WORK_PER_FLUSH * took_s)

    def read(self) -> dict[str, np.ndarray] | None:
        """The checkpoint that an earlier attempt left, if it is sound and of the same cells."""
        return checkpoints.decode(objects.get(self.permit.url, self.key), self.identity())
