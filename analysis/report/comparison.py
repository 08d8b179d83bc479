"""Ours against the paper's: how far each slope lies from what is expected, in its own standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from widesweep.analysis.report.figures import INK, styled
from widesweep.analysis.report.legend import MUTED

OURS, CONTROL = "#0072b2", "#d55e00"
FARTHEST = 30.0  # standard errors that the axis shows; what lies beyond is drawn at its end
ROW_INCHES = 0.17


@dataclass(frozen=True)
class Row:
    """One number: what it is of, its distance in standard errors, and whether it is a control's."""

    label: str
    distance: float
    is_control: bool


def draw(rows: Sequence[Row]) -> Figure:
    """One line a number; the band holds 95 % of what agrees, and controls must lie outside.

    >>> draw([Row("κ4", 0.3, False), Row("κ4, control", -12.0, True)]).axes[0].get_xlabel()
    'standard errors from what is expected'
    """
    with styled():
        figure = Figure(figsize=(6.5, 0.8 + ROW_INCHES * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvspan(-1.96, 1.96, color=MUTED, alpha=0.15, linewidth=0)
        axes.axvline(0.0, color=INK, linewidth=0.6)
        for is_control, colour, marker, label in (
            (False, OURS, "o", "ours"),
            (True, CONTROL, "x", "control, which must fail"),
        ):
            places = [i for i, row in enumerate(rows) if row.is_control is is_control]
            distances = [np.clip(rows[i].distance, -FARTHEST, FARTHEST) for i in places]
            axes.plot(distances, places, marker, color=colour, markersize=4, label=label)
        axes.set_xscale("symlog", linthresh=2.0)
        axes.set_xticks([-30, -10, -2, 0, 2, 10, 30], ["≤ −30", "−10", "−2", "0", "2", "10", "≥ 30"])
        axes.set_xlim(-1.2 * FARTHEST, 1.2 * FARTHEST)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("standard errors from what is expected")
        figure.legend(loc="outside upper right", ncols=2)
        return figure
