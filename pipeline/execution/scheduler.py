"""What a scheduler is: it runs blocks and reports on them. One is Ray, the other this machine's processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from widesweep.pipeline.errors import SourceError, StorageError, WidesweepError
from widesweep.pipeline.store import checkpoints
from widesweep.pipeline.store.checkpoints import Marks

if TYPE_CHECKING:
    from widesweep.pipeline.execution.worker import Outcome, Sweep
    from widesweep.pipeline.plan.blocks import Block
    from widesweep.pipeline.store.permit import Permit

LOSSES = 25  # times in a row that a block may lose its process or machine without progress between two
HANGS = 3  # times that it may show no sign of life for longer than its limit
SHORTAGES = 6  # times that it may run out of memory; its batches are halved each time
WAIT_S = 0.2  # longest time without a look at signals


class Listener(Protocol):
    """Who hears of blocks."""

    def started(self, block: Block) -> None:
        """A block was handed to a worker."""

    def finished(self, block: Block, outcome: Outcome) -> None:
        """A block is measured and stored."""

    def lost(self, block: Block, reason: str) -> None:
        """A block's process or machine was lost; it will be started again."""

    def failed(self, block: Block, reason: str) -> None:
        """A block will not be started again."""


class Stop(Protocol):
    """Whether to stop, and how much time there is for it."""

    @property
    def grace_s(self) -> float:
        """Seconds that blocks have to flush; 0: none, they may write no more."""

    def __bool__(self) -> bool:
        """True once a signal arrived."""

    def interrupting(self) -> AbstractContextManager[None]:
        """While the context lasts, a signal interrupts this thread (KeyboardInterrupt), if it listens."""


class Scheduler(Protocol):
    """What runs blocks.

    Attributes:
        cores: CPU cores in all.
        node_cores: cores of the largest machine: no block can take more.
        node_memory_bytes: memory of that machine which blocks may use.
        gpus: GPUs in all.
        local: whether the cores are this machine's.
    """

    cores: int
    gpus: float
    local: bool

    @property
    def node_cores(self) -> int: ...  # noqa: D102  (an attribute)

    @property
    def node_memory_bytes(self) -> int: ...  # noqa: D102  (an attribute)

    def gpu_memory_bytes(self) -> int:
        """Memory of one GPU; 0 where there is none that torch can use."""

    def run(self, sweep: Sweep, blocks: Iterable[Block], listener: Listener, stop: Stop) -> None:
        """Runs blocks in the given order, few in flight, each until it is stored or given up.

        A lost process or machine is tried again, from the block's last flush; so is a block that did not fit
        the memory, in smaller batches; both within `LOSSES`, `HANGS` and `SHORTAGES`. Another Python
        exception is a defect of the block and is not. A store that cannot be written, and a worker with
        another source of this package, are neither: they end the run, its blocks stay pending
        (`StorageError`, `SourceError`). On `stop` nothing more is started, and what runs has `stop.grace_s`
        seconds to flush: a block without status stays pending.
        """


@dataclass
class Attempt:
    """A block under way, and what has happened to it so far.

    Each start has a permit of its own, so that a worker that was given up and still lives writes nothing.
    """

    block: Block
    permit: Permit | None = None
    submitted: float = 0.0
    losses: int = 0
    kills: int = 0
    left: Marks = frozenset()
    hangs: int = 0
    shortages: int = 0

    def start(self, run: Permit) -> Block:
        """The block as it is handed to a worker now, under a permit that the run's gives."""
        if self.permit is not None:
            self.permit.revoke()
        self.submitted, self.permit = time.monotonic(), run.of_attempt()
        return self.block.with_state(attempt=self.permit.attempt)

    def end(self) -> None:
        """No worker may write this block any more, by this attempt."""
        if self.permit is not None:
            self.permit.end()

    def after_loss(self, kind: str, left: Marks, *, machine: bool = False) -> tuple[bool, str]:
        """Whether to start it again after its process or machine was lost, and why it was lost.

        Losses count while nothing is left of the attempt: whatever a machine's owner takes back as often as
        it likes, a block that flushes in between goes on. The memory's end may come as a plain kill, by the
        machine's own hand: after two losses in a row in smaller batches, unless whole machines went.

        Args:
            kind: of loss, in a few words.
            left: the block's checkpoints now; others than before are progress.
            machine: whether its whole machine went.
        """
        limit_s = self.block.state.limit_s
        if limit_s and time.monotonic() - self.submitted > limit_s:
            self.hangs += 1
            self.block = self.block.with_state(resume=True, limit_s=2 * limit_s)
            return self.hangs < HANGS, f"no sign of life for {limit_s:.0f} s, {self.hangs} of {HANGS} times"
        if left and left != self.left:
            self.losses, self.kills = 0, 0
        self.left = left
        self.losses, self.kills = self.losses + 1, self.kills + (not machine)
        split = self.block.state.split * (2 if not machine and self.kills in (2, 4) else 1)
        self.block = self.block.with_state(resume=True, split=split)
        return self.losses < LOSSES, f"{kind}, {self.losses} of {LOSSES} times"

    def after_shortage(self) -> tuple[bool, str]:
        """Whether to start it again, in smaller batches, after the memory ran out."""
        self.shortages += 1
        self.block = self.block.with_state(resume=True, split=2 * self.block.state.split)
        return self.shortages < SHORTAGES, f"out of memory, {self.shortages} of {SHORTAGES} times"


@dataclass
class Attempts:
    """Blocks that wait for a worker, those that are started again first, and what becomes of each."""

    new: Iterator[Attempt]
    listener: Listener
    sweep: Sweep
    again: deque[Attempt] = field(default_factory=deque)

    def next(self) -> Attempt | None:
        """The one to start now."""
        return self.again.popleft() if self.again else next(self.new, None)

    def raised(self, attempt: Attempt, error: BaseException) -> None:
        """A block ended with an exception of its own.

        Raises:
            WidesweepError: what is no defect of the block, as `run_ending` says.
        """
        if (ending := run_ending(error, self.sweep.url)) is not None:
            raise ending from None
        if isinstance(error, MemoryError):
            self.start_again(attempt, *attempt.after_shortage())
        else:
            self.listener.failed(attempt.block, reason_of(error))

    def lost(self, attempt: Attempt, kind: str, *, machine: bool = False) -> None:
        """A block's process was lost, or its whole machine."""
        left = checkpoints.marks(self.sweep.url, self.sweep.config, attempt.block)
        self.start_again(attempt, *attempt.after_loss(kind, left, machine=machine))

    def start_again(self, attempt: Attempt, again: bool, reason: str) -> None:
        """Puts a block back, or gives it up."""
        if again:
            self.listener.lost(attempt.block, reason)
            self.again.append(attempt)
        else:
            self.listener.failed(attempt.block, reason)


def run_ending(cause: BaseException | None, url: str) -> WidesweepError | None:
    """The error that ends a whole run, if what a block raised is no fault of the block."""
    if isinstance(cause, StorageError):
        return type(cause)(cause.store, cause.reason)
    if isinstance(cause, ImportError) and cause.name == "widesweep":  # as `source.pin` refuses a worker
        return SourceError(url, str(cause))
    return None


def reason_of(cause: BaseException) -> str:
    """The exception that a block raised, in one line.

    >>> reason_of(ValueError("no such kernel\\nat all"))
    'ValueError: no such kernel'
    """
    lines = [line for line in str(cause).splitlines() if line.strip()] or [""]
    return f"{type(cause).__name__}: {lines[0]}"[:500]
