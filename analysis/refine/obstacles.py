"""Why a law cannot be tightened by more cells: said before a second is spent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from widesweep.analysis.fitting.fit import means_over_seeds

Array = NDArray[np.float64]

SURE = 1e-3  # probability below which a bend is no accident
NEAR = 1.02  # a goal within 2 % of a floor would cost without end


def bent(log_y: Array, log_m: Array, variance: Array, half_width: float, points: str = "widths") -> str:
    """Whether means over seeds leave the power law by more than their errors; empty: no sign of it.

    One slope, an amplitude per depth: χ² of the means over seeds and learning rates about the line, against
    F with the degrees of freedom of the spread. More
    seeds would then tighten an interval about a slope that depends on where they are spent.

    Args:
        log_y: shape (width, depth, seed, rate), NaN where a cell is missing.
        log_m: log width, shape (width,).
        variance: of one seed's value averaged over rates, shape (width, depth).
        half_width: of the law's interval, to say how much the bend matters.
        points: what x is, where it is no width.

    Source: the F test of lack of fit with pure error.
    """
    count = np.isfinite(log_y).any(3).sum(2)
    used = count > 0
    centred = means_over_seeds(log_y)
    y = _nan_mean(centred - np.nanmean(np.where(used[..., None], centred, np.nan), axis=0, keepdims=True))
    weight = np.where(used, count / variance, 0.0)
    x = np.broadcast_to(log_m[:, None], weight.shape)
    dx, dy = _about_mean(x, weight), _about_mean(np.where(used, y, 0.0), weight)
    sxx = float((weight * dx**2).sum())
    free = int(used.sum()) - int(used.any(0).sum()) - 1
    if free < 1 or sxx <= 0:
        return ""
    slope = float((weight * dx * dy).sum()) / sxx
    left = np.where(used, dy - slope * dx, 0.0)
    square = float((weight * left**2).sum())
    chance = float(stats.f.sf(square / free, free, max(float((count[used] - 1).sum()), 1.0)))
    if chance >= SURE:
        return ""
    local = _local_slopes(y, log_m, weight)
    if np.ptp(local) <= 2.0 * half_width:
        return ""  # known for certain, and small against the interval
    return (
        f"The means leave the power law (χ² = {square:.0f} for {free} degrees of freedom): the slope is "
        f"{local[0]:.2f} between the first two {points} and {local[-1]:.2f} between the last two. That is "
        "finite size, not spread between seeds: more seeds would tighten an interval about a slope that "
        "depends on where they are spent. Take larger widths, and leave the smallest out."
    )


def floor(least: float, goal: float, parts: str) -> str:
    """Whether a goal lies below what endless seeds would reach; empty: it does not.

    >>> floor(0.02, 0.05, "")
    ''
    """
    if goal > NEAR * least:
        return ""
    return (
        f"Endless seeds would leave ± {least:.3g}, and ± {goal:.3g} is wanted: {parts}. Larger widths or "
        "longer training lower it, seeds do not."
    )


def windows(lost: float, most: float, note: str) -> str:
    """Whether too many finished cells have no fit window; empty: they have.

    >>> windows(0.1, 0.5, "")
    ''
    """
    if lost <= most:
        return ""
    return (
        f"{100 * lost:.0f} % of the finished cells have no window in which the rate can be fitted. {note} "
        "More seeds end the same way: train longer where cells are still in the transient, or in float64 "
        "where they reach the rounding floor."
    )


def _local_slopes(y: Array, log_m: Array, weight: Array) -> Array:
    """Slopes between neighbouring widths, averaged over depths."""
    total = weight.sum(1)
    mean = (weight * np.where(weight > 0, y, 0.0)).sum(1) / np.where(total > 0, total, 1.0)
    ok = total > 0
    return np.asarray(np.diff(mean[ok]) / np.diff(log_m[ok]))


def _nan_mean(values: Array) -> Array:
    """Mean over learning rates, the last axis, of what is there."""
    count = np.isfinite(values).sum(-1)
    return np.asarray(np.where(np.isfinite(values), values, 0.0).sum(-1) / np.maximum(count, 1))


def _about_mean(values: Array, weight: Array) -> Array:
    total = np.maximum(weight.sum(0, keepdims=True), 1e-300)
    return np.asarray(values - (weight * values).sum(0, keepdims=True) / total)
