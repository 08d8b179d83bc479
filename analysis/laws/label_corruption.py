"""True labels are fitted sooner than corrupted ones, by the ratio of steps that the infinite kernel gives."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.fitting import fit
from widesweep.analysis.fitting.extrapolation import Extrapolation
from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge, undecided
from widesweep.analysis.laws.kinds.points import rate_labels, rate_point
from widesweep.analysis.laws.kinds.regime import BY_DESCENT, NTK, STABLE, STANDARD, Regime, scaled
from widesweep.analysis.laws.kinds.width_law import point_series
from widesweep.analysis.reading.axes import pooled
from widesweep.analysis.reading.cell_summary import DONE, CellSummary

Array = NDArray[np.float64]

NAME = "label_corruption"
TITLE = "Corrupted labels take longer, as the infinite kernel predicts"
READS = ("training/residual_norm", "theory/residual_norm_predicted")
EXPECTED = 1.0
REGIME = Regime((scaled((NTK, STANDARD), ""), BY_DESCENT, STABLE))
FRACTION = "corrupted_fraction"
DIMS = ("width", "depth", "seed", FRACTION, "learning_rate")
TRUSTED = 0.05  # how far an extrapolation in width is trusted at all
SMALLEST = np.log(1.1)  # predicted slow-down below which nothing is compared
UNCENTERED = "The model is not centred: its first residual is not the labels, and the limit not of one cell."


def find(summary: CellSummary) -> list[LawResult]:
    """The law's finding; none where the corrupted fraction is no axis.

    T(p) is the step at which 1 % of ‖r(0)‖ is left with a fraction p of the labels corrupted, p₀ the least
    fraction. For each network the slope, through the origin, of log T(p)/T(p₀) on what the limit
    ‖r(k)‖² = Σ_i (1 − ηλ_i)^{2k} (v_i·y)² gives; their mean, carried to infinite width, is 1. A slope of 0
    says that true labels are fitted no sooner.

    Source: Arora et al. 2019, arXiv:1901.08584, section 4: true labels lie along the large eigenvalues.

    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    cells = pooled(summary, kept=FRACTION).cells
    if cells is None or FRACTION not in cells.dims or cells.sizes[FRACTION] < 2:
        return []
    if "steps_to_fit" not in cells:
        return [undecided(NAME, TITLE, EXPECTED, UNCENTERED)]
    measured, predicted, lost = _slow_downs(cells)
    slope = _slope(measured, predicted)
    used = int(np.isfinite(slope).sum())
    if not np.nan_to_num(np.abs(predicted)).max() > SMALLEST:
        reason = (
            f"Theory expects less than {100 * np.expm1(SMALLEST):.0f} % more steps on these labels. {lost}"
        )
        return [undecided(NAME, TITLE, EXPECTED, reason.strip(), used)]
    extrapolation = Extrapolation(slope, np.asarray(cells["width"].values, dtype=np.float64))
    if not extrapolation.possible:
        reason = f"No depth has cells that reach 1 % at three widths. {lost}"
        return [undecided(NAME, TITLE, EXPECTED, reason.strip(), used)]
    estimate = fit.bootstrap(extrapolation.values, extrapolation.limit).widened(extrapolation.systematic)
    low, high = EXPECTED - TRUSTED, EXPECTED + TRUSTED
    verdict, power = judge(estimate, low, high)
    numbers = _numbers(cells, measured, predicted)
    note = " ".join(s for s in (power, lost) if s)
    return [
        LawResult(
            NAME, TITLE, estimate, EXPECTED, low, high, float("nan"), used, verdict, note,
            _plot(cells, measured, predicted), numbers,
        )
    ]  # fmt: skip


def _slow_downs(cells: xr.Dataset) -> tuple[Array, Array, str]:
    """log T(p)/T(p₀), measured (width, depth, seed, fraction, rate) and predicted (depth, fraction, rate).

    Cells that end sooner than at 1 % take their seeds along: the rest would be the fast ones.
    """
    steps = np.asarray(cells["steps_to_fit"].transpose(*DIMS).values, dtype=np.float64)
    done = cells["status"].transpose(*DIMS).values == DONE
    short = done & ~np.isfinite(steps)
    kept = np.where(short.any(2, keepdims=True), np.nan, steps)
    expected = np.asarray(cells["steps_to_fit_predicted"].transpose(*DIMS).values, dtype=np.float64)
    predicted = np.nanmax(np.where(np.isfinite(expected), expected, -np.inf), axis=(0, 2))
    predicted = np.log(np.where(predicted > 0, predicted, np.nan))
    first = int(np.argmin(cells[FRACTION].values))
    measured = np.log(kept)
    lost = f"{int(short.sum())} cells end before 1 %; their groups are left out." if short.any() else ""
    return (
        measured - measured[:, :, :, first : first + 1],
        predicted - predicted[:, first : first + 1],
        lost,
    )


def _slope(measured: Array, predicted: Array) -> Array:
    """Of measured on predicted slow-downs, through the origin; (width, depth, seed, rate)."""
    x = np.where(np.isfinite(measured) & (np.abs(predicted) > SMALLEST)[:, None], predicted[:, None], 0.0)
    square = (x**2).sum(3)
    product = np.where(x != 0.0, x * measured, 0.0).sum(3)
    return np.where(square > 0, product / np.where(square > 0, square, 1.0), np.nan)


def _numbers(cells: xr.Dataset, measured: Array, predicted: Array) -> tuple[tuple[str, str], ...]:
    """Rows for the report: steps over those of the least fraction, at the largest width and in the limit."""
    rows = []
    fractions, width = cells[FRACTION].values, int(cells["width"].values.max())
    for p, fraction in enumerate(fractions):
        here, limit = measured[-1, :, :, p], predicted[:, p]
        if fraction > fractions.min() and np.isfinite(here).any() and np.isfinite(limit).any():
            label = f"steps, {100 * fraction:g} % corrupted over {100 * fractions.min():g} %, m = {width}"
            text = f"{np.exp(np.nanmean(here)):.3f} (limit {np.exp(np.nanmean(limit)):.3f})"
            rows.append((label, text))
    return tuple(rows)


def _plot(cells: xr.Dataset, measured: Array, predicted: Array) -> Plot:
    """The slow-down of each fraction against the width, and the limit's."""
    widths = np.asarray(cells["width"].values, dtype=np.float64)
    ends = np.array([widths.min(), widths.max()])
    series: list[Series] = []
    curves: list[Curve] = []
    fractions, rates = cells[FRACTION].values, rate_labels(cells)
    for d, p, r in np.ndindex(measured.shape[1], len(fractions), len(rates)):
        log_y, depth = measured[:, d, :, p, r], int(cells["depth"].values[d])
        if fractions[p] == fractions.min() or not np.isfinite(log_y).any():
            continue
        label = f"depth {depth}, corrupted = {fractions[p]:g}"
        label += rates[r]
        of = (("depth", float(depth)), ("corrupted", float(fractions[p])), *rate_point(cells, r))
        series.append(point_series(label, ("width", widths), log_y, depth, len(series) % 2 == 1, 1.0, of))
        first = "" if curves else "theory, m → ∞"
        curves.append(Curve(first, ends, np.full(2, np.exp(predicted[d, p, r])), "theory", depth))
    label = r"steps to 1 % of $\Vert r\Vert$, over those of true labels"
    return Plot("width m (neurons per layer)", label, tuple(series), tuple(curves))
