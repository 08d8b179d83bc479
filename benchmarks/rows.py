"""A benchmark's result: ours beside another, as ratios of paired runs in one process tree on one machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One line of RESULTS.md.

    Attributes:
        work: what was done.
        against: by whom else, or what limit.
        ratios: their time over ours for each paired run (for a limit: the fraction of it reached).
        wanted: the goal, as text.
        note: anything a reader must know, such as how far results agree.
    """

    work: str
    against: str
    ratios: tuple[float, ...]
    wanted: str
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """The line's cells."""
        low, middle, high = np.min(self.ratios), np.median(self.ratios), np.max(self.ratios)
        return (
            self.work,
            self.against,
            f"{middle:.2f} ({low:.2f} to {high:.2f}, {len(self.ratios)} runs)",
            self.wanted,
            self.note,
        )


HEADER = ("work", "against", "ratio: median (minimum to maximum)", "wanted", "note")


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    lines = [HEADER, tuple("---" for _ in HEADER), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
