"""The rows of RESULTS.md as one picture: each ratio over the one that was wanted."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.rows import Row
from widesweep.analysis.report.figures import INK, STYLE

MET, MISSED = "#0072B2", "#D55E00"
ROW_INCHES, WIDTH_INCHES = 0.21, 11.0


def against_goal(row: Row) -> np.ndarray | None:
    """Each run's ratio over the goal, or the goal over it where less is wanted: met from 1 on.

    >>> against_goal(Row("a step", "none", (1.0, 2.0), "≤ 1.10"))
    array([1.1 , 0.55])
    >>> against_goal(Row("a step", "none", (1.0, 2.0), "—")) is None
    True
    """
    sign, _, goal = row.wanted.partition(" ")
    if sign not in ("≥", "≤", ">"):
        return None
    ratios, bound = np.array(row.ratios), float(goal.replace(",", ""))
    return bound / ratios if sign == "≤" else ratios / bound


def draw(rows: list[Row]) -> Figure:
    """A line for each row with a goal: median and range of its runs on a logarithmic axis."""
    shown = [(row, found) for row in rows if (found := against_goal(row)) is not None]
    with mpl.rc_context(STYLE):
        figure = Figure((WIDTH_INCHES, 0.9 + ROW_INCHES * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(1.0, color=INK, linewidth=0.7)
        for y, (row, found) in enumerate(shown):
            middle = float(np.median(found))
            colour = MET if middle >= 1.0 else MISSED
            axes.plot([found.min(), found.max()], [y, y], color=colour, linewidth=1.2)
            axes.plot(middle, y, "o", color=colour, markersize=4)
            figures = f"{np.median(row.ratios):,.2f} ({row.wanted})"
            axes.annotate(figures, (1.005, y), xycoords=("axes fraction", "data"), va="center", fontsize=6.5)
        axes.set_yticks(range(len(shown)), [f"{row.work} — {row.against}" for row, _ in shown], fontsize=6.5)
        axes.set(ylim=(len(shown) - 0.5, -0.5), xscale="log", xlabel="measured over wanted: met from 1 on")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="x", linewidth=0.3, alpha=0.5)
    return figure


def write(rows: list[Row], path: Path) -> None:
    """The picture as a file, if any row has a goal."""
    if any(against_goal(row) is not None for row in rows):
        draw(rows).savefig(path, dpi=100)
