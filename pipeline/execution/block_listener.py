"""What happens to blocks, told to the journal, the display and, of failed ones, the store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.pipeline.execution.callbacks import FinishedBlock, Tracker
from widesweep.pipeline.execution.pooling import Pooling
from widesweep.pipeline.execution.progress import Progress
from widesweep.pipeline.execution.worker import Outcome
from widesweep.pipeline.plan import machine_speed
from widesweep.pipeline.plan.blocks import Block, Plan
from widesweep.pipeline.store.chunks import writer
from widesweep.pipeline.store.journal import Journal
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import counts
from widesweep.theory.registry import last_line


@dataclass
class BlockListener:
    """Tells what happens to blocks to the journal, the display and, for failed ones, the store.

    Attributes:
        before: status of each cell, or of the random networks, with those that wait for this run pending.
        trackers: of one's own.
        failures: blocks that failed.
    """

    permit: Permit
    book: Journal
    progress: Progress
    plan: Plan
    pooling: Pooling
    before: np.ndarray
    trackers: tuple[Tracker, ...] = ()
    failures: int = 0

    def pool(self, pairs: list[tuple[int, int]]) -> None:
        """Random networks whose draws an earlier run stored and did not live to put together."""
        for pair in pairs:
            cells = self.pooling.pool(pair)
            self.progress.block_done("", 0.0, 0.0, cells if self.plan.config.training is None else {})

    def tell_speed(self, *, here: bool) -> None:
        """Keeps what blocks took beside the cost model, if this machine's cores computed them."""
        if here:
            machine_speed.note(self.progress.cost_done_s, self.progress.core_s)

    def started(self, block: Block) -> None:
        """As `Listener` says, and so are the other three."""
        self.book.started(block.index)
        self.progress.started(self._name(block))

    def finished(self, block: Block, outcome: Outcome) -> None:
        """Counts its cells, or its pair once that is complete."""
        times = outcome.wall_s, outcome.core_s
        self.book.finished(block.index, *times, outcome.computed, outcome.device)
        cells = self._settled(block, outcome) if block.kind == "training" else self.pooling.ended(block)
        self._count(block, outcome.wall_s * block.threads, cells)
        self._track(block, outcome.wall_s)

    def lost(self, block: Block, reason: str) -> None:
        """Notes it; the scheduler starts it again."""
        self.progress.lost += 1
        self.progress.display.note(f"block {block.index} ({self._name(block)}) was lost: {reason}")

    def failed(self, block: Block, reason: str) -> None:
        """Stores the reason in its cells."""
        self.failures += 1
        self.progress.display.note(f"block {block.index} ({self._name(block)}) failed: {reason}")
        writer(self.permit, self.plan.config.hash).write_failed(block, reason)
        if block.kind == "training":
            cells = {"failed": counts(self._inside(block))["pending"]}
        else:
            cells = self.pooling.ended(block)
        self._count(block, 0.0, cells)
        self._track(block, 0.0, reason)

    def _track(self, block: Block, wall_s: float, failure: str = "") -> None:
        """Calls the trackers; one that raises is noted, and the sweep goes on."""
        grid = self.plan.config.grid
        width, depth = grid.width[block.width], grid.depth[block.depth]
        ended = FinishedBlock(
            self.plan.config.name,
            self.permit.url,
            block.kind,
            width,
            depth,
            dict(block.region),
            wall_s,
            failure,
        )
        for tracker in self.trackers:
            try:
                tracker.finished(ended)
            except Exception as error:
                self.progress.display.note(f"{type(tracker).__name__} raised: {last_line(error)}")

    def _count(self, block: Block, core_s: float, cells: dict[str, int]) -> None:
        counted = self.plan.config.training is None or block.kind == "training"
        self.progress.block_done(self._name(block), block.cost_s, core_s, cells if counted else {})
        self.book.remaining_s = self.progress.remaining_s

    def _settled(self, block: Block, outcome: Outcome) -> dict[str, int]:
        """Cells of a block that waited, by the state that they are in now."""
        was, now = counts(self._inside(block)), outcome.cells
        return {state: now[state] - was[state] for state in ("done", "diverged", "failed")}

    def _name(self, block: Block) -> str:
        """A block as people know it: the width and the depth, and which seeds or parts."""
        grid = self.plan.config.grid
        axis = "seed" if block.kind == "training" else "part"
        first, last = block.region[axis].start, block.region[axis].stop - 1
        places = f"{axis} {first}" if first == last else f"{axis}s {first}–{last}"
        return f"width {grid.width[block.width]}, depth {grid.depth[block.depth]}, {places}"

    def _inside(self, block: Block) -> np.ndarray:
        return self.before[tuple(block.region.values())]
