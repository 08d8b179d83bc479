"""How a run is going, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

PLAIN_LINE_S = 5.0


@dataclass
class Progress:
    """Cells and blocks so far, and the time left by the cost model corrected by measured times.

    Attributes:
        name: the sweep's.
        cells: cells by state, of this run and those before.
        blocks_total: blocks to run now.
        cost_total_s: predicted seconds of these on one core.
        cores: cores that work on them.
    """

    name: str
    cells: dict[str, int]
    blocks_total: int
    cost_total_s: float
    cores: int
    blocks_done: int = 0
    lost: int = 0
    cost_done_s: float = 0.0
    core_s: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _printed: float = 0.0

    def __post_init__(self) -> None:
        """A bar on a terminal, as far along as predicted cost has been paid."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(self.line(), total=self.cost_total_s)

    def __enter__(self) -> Progress:
        """Starts to show."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last line."""
        self._bar.stop()
        print(self.line(), file=sys.stderr, flush=True)

    def block_done(self, cost_s: float, core_s: float, cells: dict[str, int]) -> None:
        """Counts a block that ended.

        Args:
            cost_s: what it was predicted to take on one core.
            core_s: what it took, times its cores; 0 if it failed.
            cells: its cells by state.
        """
        self.blocks_done += 1
        self.cost_done_s += cost_s
        self.core_s += core_s
        for state, count in cells.items():
            self.cells[state] += count
        self.cells["pending"] -= sum(cells.values())

    @property
    def correction(self) -> float:
        """Measured over predicted time so far; 1 before anything is measured."""
        return self.core_s / self.cost_done_s if self.cost_done_s > 0 and self.core_s > 0 else 1.0

    @property
    def remaining_s(self) -> float:
        """Wall time left: predicted cost left, times measured over predicted so far, over cores."""
        return max(0.0, self.cost_total_s - self.cost_done_s) * self.correction / self.cores

    def show(self) -> None:
        """Shows the state now; in lines, if the last one is long enough ago."""
        self._bar.update(self._task, description=self.line(), completed=self.cost_done_s)
        if self._bar.disable and time.monotonic() - self._printed >= PLAIN_LINE_S:
            self._printed = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """The state in one line."""
        total = sum(self.cells.values())
        ready = total - self.cells["pending"]
        elapsed = max(time.monotonic() - self._began, 1e-9)
        parts = [
            f"{self.name}: {ready}/{total} cells",
            f"{self.blocks_done}/{self.blocks_total} blocks",
            f"{self.blocks_done / elapsed:.2g} blocks/s",
            f"{_clock(self.remaining_s)} left",
            f"{self.cores} cores",
        ]
        parts += [f"{self.cells[state]} {state}" for state in ("diverged", "failed") if self.cells[state]]
        parts += [f"{self.lost} lost and started again"] if self.lost else []
        return " · ".join(parts)


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> _clock(75.2), _clock(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
