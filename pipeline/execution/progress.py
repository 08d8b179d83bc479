"""How a run is going, on standard error: a bar that ticks on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import RenderableType
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from widesweep.pipeline.execution.display import PLAIN_LINE_S, Display

MOST_SHOWN = 4  # blocks under way that the bar names


@dataclass
class Progress:
    """Cells and blocks so far, and the time left by the cost model corrected by measured times.

    Attributes:
        name: the sweep's.
        cells: cells by state, of this run and those before.
        blocks_total: blocks to run now.
        cost_total_s: predicted seconds of these on one core.
        cores: cores that work on them.
        display: where to show it.
        gpus: GPUs that work on them.
    """

    name: str
    cells: dict[str, int]
    blocks_total: int
    cost_total_s: float
    cores: int
    display: Display = field(default_factory=Display)
    gpus: int = 0
    blocks_done: int = 0
    lost: int = 0
    cost_done_s: float = 0.0
    core_s: float = 0.0
    under_way: dict[str, float] = field(default_factory=dict)  # when each began
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """A bar as far along as predicted cost has been paid; lines are printed by a thread of their own."""
        self._ready_before = self._ready
        self._bar = _Bar(self)
        self._task = self._bar.add_task("", total=max(self.cost_total_s, 1e-9))
        self._ended = threading.Event()
        self._lines = threading.Thread(target=self._print_lines, daemon=True)

    def __enter__(self) -> Progress:
        """Starts to show."""
        self._bar.start()
        self._lines.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last line."""
        self._ended.set()
        self._bar.stop()
        self.display.say(self.line())

    def started(self, block: str) -> None:
        """Counts a block as under way."""
        self.under_way[block] = time.monotonic()

    def block_done(self, block: str, cost_s: float, core_s: float, cells: dict[str, int]) -> None:
        """Counts a block that ended.

        Args:
            block: as it was started.
            cost_s: what it was predicted to take on one core.
            core_s: what it took, times its cores; 0 if it failed.
            cells: its cells by state.
        """
        self.under_way.pop(block, None)
        self.blocks_done += 1
        self.cost_done_s += cost_s
        self.core_s += core_s
        for state, count in cells.items():
            self.cells[state] += count
        self.cells["pending"] -= sum(cells.values())
        self._bar.update(self._task, completed=self.cost_done_s)

    @property
    def correction(self) -> float:
        """Measured over predicted time so far; 1 before anything is measured."""
        return self.core_s / self.cost_done_s if self.cost_done_s > 0 and self.core_s > 0 else 1.0

    @property
    def remaining_s(self) -> float:
        """Wall time left: predicted cost left, times measured over predicted so far, over cores."""
        return max(0.0, self.cost_total_s - self.cost_done_s) * self.correction / self.cores

    def line(self) -> str:
        """The state in one line."""
        elapsed = max(time.monotonic() - self._began, 1e-9)
        parts = [
            f"{self.name}: {self._ready}/{sum(self.cells.values())} cells",
            f"{self.blocks_done}/{self.blocks_total} blocks",
            f"{(self._ready - self._ready_before) / elapsed:.2g} cells/s",
            f"{clock(elapsed)} elapsed",
            *([f"{clock(self.remaining_s)} left"] if self.blocks_done < self.blocks_total else []),
            f"{self.cores} cores",
        ]
        parts += [f"{self.gpus} GPUs"] if self.gpus else []
        parts += [f"{self.cells[state]} {state}" for state in ("diverged", "failed") if self.cells[state]]
        parts += [f"{self.lost} lost and started again"] if self.lost else []
        return " · ".join(parts)

    def blocks(self) -> str:
        """The blocks under way, each with its time; until the first has ended, what takes that long."""
        now, shown = time.monotonic(), list(self.under_way.items())[:MOST_SHOWN]
        texts = [f"{block} ({clock(now - began)})" for block, began in shown]
        texts += [f"and {len(self.under_way) - MOST_SHOWN} more"] if len(self.under_way) > MOST_SHOWN else []
        first = "importing torch, reading or compiling loops; " if not self.blocks_done else ""
        return f"{first}under way: {', '.join(texts)}" if texts else first.rstrip("; ")

    @property
    def _ready(self) -> int:
        return sum(self.cells.values()) - self.cells["pending"]

    def _print_lines(self) -> None:
        """A line now and then where nothing can be drawn over; the log has them too."""
        while not self._ended.wait(PLAIN_LINE_S):
            text = f"{self.line()} · {self.blocks()}"
            self.display.note(text) if self.display.moves else self.display.say(text)


class _Bar(RichProgress):
    """The bar, the line, and the blocks under way."""

    def __init__(self, progress: Progress) -> None:
        self._of, display = progress, progress.display  # before the first drawing
        super().__init__(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=display.console,
            transient=True,
            refresh_per_second=4,
            disable=not display.moves,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Drawn anew several times a second."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self._of.line(), no_wrap=True, overflow="ellipsis")
        yield Text(self._of.blocks(), style="dim", no_wrap=True, overflow="ellipsis")


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(75.2), clock(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
