"""What a law finds: a slope with its interval, what theory allows, a verdict, and what the figure shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.fitting.fit import Estimate

Array = NDArray[np.float64]

CONSISTENT, INCONSISTENT, INCONCLUSIVE = "consistent", "inconsistent", "inconclusive"
NOT_APPLICABLE = "not_applicable"
HOLDS, BROKEN, VACUOUS = "holds", "broken", "vacuous"  # of a bound
NO_SPREAD = "No shape has two seeds that differ: without a spread there is no interval. Add seeds."
RESOLUTION = 0.25  # an interval with a longer half-width tells no exponent of interest from another


@dataclass(frozen=True)
class Series:
    """Points with bars from `low` to `high`, of one `depth`, `hollow` or filled, drawn at x times `shift`.

    `of` tells what each point is of: pairs (name, one value a point), such as its width and its seeds.
    """

    label: str
    x: Array
    y: Array
    low: Array
    high: Array
    depth: int = 0
    hollow: bool = False
    shift: float = 1.0
    of: tuple[tuple[str, Array], ...] = ()


@dataclass(frozen=True)
class Curve:
    """A line: `kind` is theory, fit or guide; `depth` gives it that depth's colour."""

    label: str
    x: Array
    y: Array
    kind: str = "theory"
    depth: int = 0


@dataclass(frozen=True)
class Plot:
    """Everything a figure shows, without a word on how it is drawn."""

    x_label: str
    y_label: str
    series: tuple[Series, ...] = ()
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class LawResult:
    """One row of /laws, and its figure.

    Attributes:
        name: the law's name.
        title: one line for people.
        estimate: slope and its 95 % interval.
        expected: the law's value in the limit.
        expected_low: least slope that theory allows on this grid, finite size included.
        expected_high: largest such slope.
        r_squared: of the fit.
        points: numbers that entered the fit.
        verdict: consistent, inconsistent, inconclusive, not_applicable; of a bound holds, broken, vacuous.
        note: the reasons, in sentences.
        plot: what the figure shows.
        numbers: rows (label, value) for the report.
        regime: of which networks and cells the law speaks, in a sentence; empty where it speaks of all.
    """

    name: str
    title: str
    estimate: Estimate
    expected: float
    expected_low: float
    expected_high: float
    r_squared: float
    points: int
    verdict: str
    note: str
    plot: Plot = field(default_factory=lambda: Plot("", ""))
    numbers: tuple[tuple[str, str], ...] = ()
    regime: str = ""


def judge(estimate: Estimate, low: float, high: float, *, resolution: float = RESOLUTION) -> tuple[str, str]:
    """Verdict on a slope, and a sentence on the power behind it.

    consistent: the 95 % interval overlaps [low, high]; inconsistent: it does not; inconclusive: it
    overlaps, but is so long that it would have done so anyway, or there is no interval.

    Args:
        estimate: the slope.
        low: least slope that theory allows.
        high: largest slope that theory allows.
        resolution: longest half-width that still tells.

    Returns:
        The verdict and its reason.

    >>> judge(Estimate(-0.1, 0.02, -0.14, -0.06, 20.0), -0.5, -0.5)[0]
    'inconsistent'
    >>> judge(Estimate(-0.6, 0.3, -1.2, 0.0, 20.0), -0.5, -0.5)[0]
    'inconclusive'
    """
    if not np.isfinite([estimate.low, estimate.high]).all():
        return INCONCLUSIVE, NO_SPREAD
    ends = (("below", low - estimate.half_width), ("above", high + estimate.half_width))
    sides = " or ".join(f"{side} {end:.2f}" for side, end in ends if np.isfinite(end))
    power = f"A slope {sides} would be seen to differ." if sides else ""
    if estimate.high < low or estimate.low > high:
        side = "below" if estimate.high < low else "above"
        gap = low - estimate.high if side == "below" else estimate.low - high
        return INCONSISTENT, f"The whole interval lies {side} what theory allows, by {gap:.3g}."
    if estimate.half_width > resolution:
        return (
            INCONCLUSIVE,
            f"The interval is ± {estimate.half_width:.2f}, too long to tell. {power} Add seeds or widths.",
        )
    return CONSISTENT, power


def undecided(name: str, title: str, expected: float, reason: str, points: int = 0) -> LawResult:
    """A law that cannot be fitted, with the reason.

    >>> undecided("weight_drift", "drift", -0.5, "No cell is done.").verdict
    'inconclusive'
    """
    nothing = Estimate(*(float("nan"),) * 5)
    return LawResult(
        name, title, nothing, expected, expected, expected, float("nan"), points, INCONCLUSIVE, reason
    )


def not_applicable(name: str, title: str, reason: str) -> LawResult:
    """A law that speaks of none of the cells, with the reason.

    >>> not_applicable("linearization", "title", "mup learns features.").verdict
    'not_applicable'
    """
    return replace(undecided(name, title, float("nan"), reason), verdict=NOT_APPLICABLE)
