"""All laws in one figure: each slope with its interval, and what theory allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widesweep.analysis.laws.kinds.law_result import (
    BROKEN,
    CONSISTENT,
    HOLDS,
    INCONCLUSIVE,
    INCONSISTENT,
    NOT_APPLICABLE,
    VACUOUS,
    LawResult,
)
from widesweep.analysis.report import figures
from widesweep.analysis.report.legend import COLOURS, MUTED

WIDTH_INCHES, ROW_INCHES, REST_INCHES = 3.5, 0.31, 0.45
LOOKS = {  # colour and marker: neither alone tells
    CONSISTENT: (COLOURS[2], "o"),
    INCONSISTENT: (COLOURS[1], "X"),
    INCONCLUSIVE: (MUTED, "o"),
    NOT_APPLICABLE: (MUTED, "o"),
    HOLDS: (COLOURS[2], "o"),
    BROKEN: (COLOURS[1], "X"),
    VACUOUS: (MUTED, "o"),
}
BAND = COLOURS[5]  # what theory allows
LONGEST_NAME = 34  # characters that stand beside the slope in a column


def draw(findings: Sequence[LawResult]) -> Figure:
    """A row a law, in their order: its name and slope, below them interval and expectation.

    >>> from widesweep.analysis.laws.kinds.law_result import undecided
    >>> draw([undecided("weight_drift", "drift", -0.5, "No cell is done.")]).get_size_inches().round(2)
    array([3.5 , 0.76])
    """
    with figures.styled():
        size = (WIDTH_INCHES, REST_INCHES + ROW_INCHES * max(1, len(findings)))
        figure = Figure(figsize=size)
        bottom = 0.34 / size[1]
        axes = figure.add_axes((0.04, bottom, 0.92, 1.0 - bottom - 0.02))
        _limits(axes, findings)
        for row, finding in enumerate(findings):
            _row(axes, -row, finding)
        axes.set_ylim(-len(findings) + 0.4, 0.75)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("slope: interval, and what theory allows (shaded)", fontsize=7.2, labelpad=1.5)
        return figure


def _limits(axes: Axes, findings: Sequence[LawResult]) -> None:
    """All intervals and expectations, and a little room."""
    numbers = [
        value
        for each in findings
        for value in (each.estimate.value, each.estimate.low, each.estimate.high, each.expected)
        if np.isfinite(value)
    ] or [0.0]
    low, high = np.clip([min(numbers), max(numbers)], -4.0, 4.0)
    room = 0.06 * max(high - low, 0.5)
    axes.set_xlim(low - room, high + room)


def _row(axes: Axes, y: float, finding: LawResult) -> None:
    estimate, (colour, marker) = finding.estimate, LOOKS[finding.verdict]
    left, right = axes.get_xlim()
    name = finding.name.replace("_", " ")
    shown = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    _text(axes, 0.0, y, shown, "left", figures.INK)
    _text(axes, 1.0, y, _slope(finding), "right", colour)
    low, high = np.clip(np.nan_to_num([finding.expected_low, finding.expected_high], nan=np.inf), left, right)
    if np.isfinite(finding.expected):
        low = left if not np.isfinite(finding.expected_low) else low
        axes.fill_betweenx([y - 0.18, y + 0.18], low, high, color=BAND, alpha=0.35, linewidth=0.0)
        axes.plot([finding.expected] * 2, [y - 0.2, y + 0.2], color=figures.INK, linewidth=0.9)
    if np.isfinite([estimate.low, estimate.high]).all():
        axes.plot(np.clip([estimate.low, estimate.high], left, right), [y, y], color=colour, linewidth=1.5)
    if left <= estimate.value <= right:
        face = colour if finding.verdict in (CONSISTENT, INCONSISTENT) else "white"
        axes.plot(
            [estimate.value], [y], marker, color=colour, markerfacecolor=face, markersize=4.2, clip_on=False
        )


def _text(axes: Axes, x: float, y: float, text: str, side: Literal["left", "right"], colour: str) -> None:
    """Above a row, at an end of it."""
    place = axes.get_yaxis_transform()
    axes.text(x, y + 0.42, text, ha=side, va="center", fontsize=6.8, color=colour, transform=place)


def _slope(finding: LawResult) -> str:
    estimate = finding.estimate
    if not np.isfinite(estimate.value):
        return finding.verdict.replace("_", " ")
    interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if np.isfinite(estimate.low) else ""
    return f"{estimate.value:.2f}{interval}".replace("-", "−")
