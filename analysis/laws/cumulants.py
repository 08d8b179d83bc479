"""κ_order of one output at initialisation, normalised by K^(order/2), against L/n: slope order/2 − 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.evidence import Evidence
from analysis.fit import Estimate
from analysis.laws.finding import Curve, Finding, Plot, Series, judge, undecided

Array = NDArray[np.float64]

FEWEST_POINTS = 3
READS = ("initialization/cumulant", "theory/cumulant_predicted")  # in the store; the law's reference says so
RESOLVED = 5.0  # a point counts if its predicted value is so many standard errors away from 0
EXACT_TOLERANCE = 0.01  # in the exponent, per power of L/n
NEXT_ORDER = 5.0  # |c| of the factor 1 + c·L/n beyond a leading-order prediction
HEAVY_TAIL = 0.3


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each order that was measured.

    >>> import xarray as xr
    >>> find(Evidence({}, None, None, None, xr.Dataset()))
    []
    """
    group = evidence.initialization
    if group is None or "cumulant" not in group or "cumulant_predicted" not in evidence.theory:
        return []
    return [_find(evidence, int(order)) for order in group["order"].values if int(order) > 2]


def _find(evidence: Evidence, order: int) -> Finding:
    name, expected = f"cumulant_{order}", order / 2 - 1
    title = f"κ{order} of an output grows like {'L/n' if expected == 1 else '(L/n)' + _power(expected)}"
    points = _points(evidence, order)
    x, y, error, theory, _ = points
    ok = np.isfinite(y) & np.isfinite(error) & np.isfinite(theory) & (theory != 0) & (x > 0)
    resolved = ok & (np.abs(theory) > RESOLVED * error) & (y * theory > 0)
    if resolved.sum() < FEWEST_POINTS or len(np.unique(x[resolved])) < 2:
        reason = f"Draws resolve {int(resolved.sum())} (width, depth) pairs; {FEWEST_POINTS} are needed."
        return undecided(name, title, expected, reason, int(resolved.sum()))
    x_, y_, theory_ = np.log(x[resolved]), np.log(np.abs(y[resolved])), np.log(np.abs(theory[resolved]))
    relative = np.where(error > 0, error / np.abs(theory), np.nan)[resolved]
    relative = np.where(np.isfinite(relative), relative, np.nanmin(relative, initial=1.0))
    slope, slope_error, r_squared = _line(x_, y_, relative)
    bent, _, _ = _line(x_, theory_, relative)
    score = (y - theory)[ok] / np.where(error[ok] > 0, error[ok], np.nan)
    half = 1.96 * slope_error * _misfit(x_, y_ - theory_, relative)
    estimate = Estimate(slope, half / 1.96, slope - half, slope + half, float(len(x_) - 2))
    kind = str(evidence.theory["cumulant_predicted"].attrs.get("approximation", "exact"))
    low, high, allowed = _allowed(kind, x_, relative, bent, expected)
    verdict, power = judge(estimate, low, high)
    within = int((np.abs(score) <= 5).sum())
    unresolved = ok.sum() - resolved.sum()
    note = " ".join(
        s for s in (
            power, allowed,
            f"{within} of {int(ok.sum())} pairs lie within 5 standard errors of the prediction (largest |z| "
            f"{np.nanmax(np.abs(score)):.1f}).",
            f"{int(unresolved)} pairs are too small for their draws." if unresolved else "",
            _tails(evidence, order, x[ok]),
        ) if s
    )  # fmt: skip
    collapse = np.std(y_ - slope * x_)
    numbers = (
        ("slope of the prediction on these pairs", f"{bent:.4f}"),
        ("scatter about one curve in L/n (log)", f"{collapse:.3f}"),
        ("largest |z| of a pair", f"{np.nanmax(np.abs(score)):.2f}"),
    )
    plot = _plot(order, expected, points, resolved, slope, y_, x_)
    return Finding(
        name,
        title,
        estimate,
        expected,
        low,
        high,
        r_squared,
        int(resolved.sum()),
        verdict,
        note,
        plot,
        numbers,
    )


def _points(evidence: Evidence, order: int) -> tuple[Array, Array, Array, Array, NDArray[np.int64]]:
    """L/n, κ, its standard error, the prediction and the depth of each finished (width, depth) pair, flat."""
    group = evidence.initialization
    assert group is not None
    one = group.sel(order=order).transpose("width", "depth")
    predicted = evidence.theory["cumulant_predicted"].sel(order=order).transpose("width", "depth")
    width, depth = np.meshgrid(one["width"].values, one["depth"].values, indexing="ij")
    kappa = np.asarray(one["cumulant"].values, dtype=np.float64)
    if "status" in one:
        kappa = np.where(one["status"].values == 1, kappa, np.nan)
    error = np.asarray(one["cumulant_standard_error"].values, dtype=np.float64)
    theory = np.asarray(predicted.values, dtype=np.float64)
    ratio = depth / width
    return ratio.ravel(), kappa.ravel(), error.ravel(), theory.ravel(), depth.ravel().astype(np.int64)


def _line(x: Array, y: Array, error: Array) -> tuple[float, float, float]:
    """Weighted least-squares slope, its standard error from the points' errors, R²."""
    weight = 1.0 / error**2
    dx = x - (weight * x).sum() / weight.sum()
    dy = y - (weight * y).sum() / weight.sum()
    sxx = float((weight * dx**2).sum())
    slope = float((weight * dx * dy).sum()) / sxx
    left, spread = float((weight * (dy - slope * dx) ** 2).sum()), float((weight * dy**2).sum())
    return slope, sxx**-0.5, 1.0 - left / spread if spread > 0 else 1.0


def _misfit(x: Array, difference: Array, error: Array) -> float:
    """Birge's factor sqrt(χ²/degrees) of measured minus predicted, where that is significantly above 1."""
    slope, _, _ = _line(x, difference, error)
    weight = 1.0 / error**2
    centred = difference - (weight * difference).sum() / weight.sum()
    dx = x - (weight * x).sum() / weight.sum()
    chi = float((weight * (centred - slope * dx) ** 2).sum())
    degrees = len(x) - 2
    significant = degrees > 0 and chi > stats.chi2.ppf(0.95, degrees)
    return float(np.sqrt(chi / degrees)) if significant else 1.0


def _allowed(kind: str, x: Array, error: Array, bent: float, expected: float) -> tuple[float, float, str]:
    """Slopes that theory allows on these pairs: the prediction's, with what it leaves open."""
    if kind == "exact":
        slack = EXACT_TOLERANCE * expected
        text = f"The exact values have slope {bent:.3f} on these pairs (limit {expected:g} as L/n → 0)."
        return bent - slack, bent + slack, text
    factor = np.log1p(np.minimum(NEXT_ORDER * np.exp(x), 1.0))
    shift = abs(_line(x, factor, error)[0]) * expected
    text = (
        f"The leading order has slope {bent:.3f} on these pairs (limit {expected:g}); the next order, "
        f"a factor 1 + c·L/n, is allowed ± {shift:.2f}."
    )
    return bent - shift, bent + shift, text


def _tails(evidence: Evidence, order: int, ratio: Array) -> str:
    """A warning where the draws are too few for the moment's heavy tail."""
    group = evidence.initialization
    if group is None or "draws" not in group or not ratio.size:
        return ""
    draws = float(np.nanmax(group["draws"].values))
    worst = float(np.sqrt(np.exp(20.0 * ratio.max()) / max(draws, 1.0)))
    return (
        f"At L/n = {ratio.max():.2g} tails are heavy: errors are themselves uncertain."
        if worst > HEAVY_TAIL
        else ""
    )


def _plot(
    order: int, expected: float, points: tuple[Array, Array, Array, Array, NDArray[np.int64]],
    resolved: NDArray[np.bool_], slope: float, y: Array, x: Array,
) -> Plot:  # fmt: skip
    """All pairs on one curve in L/n, the prediction through them, the fit."""
    ratio, kappa, error, theory, depth = points
    series = []
    for each in np.unique(depth[resolved]):
        here = resolved & (depth == each)
        k, half = np.abs(kappa[here]), 1.96 * np.nan_to_num(error[here])
        series.append(
            Series(f"depth {each}", ratio[here], k, np.maximum(k - half, 0.05 * k), k + half, int(each))
        )
    ends = np.exp(np.array([x.min(), x.max()]))
    fitted = np.exp(np.mean(y - slope * x)) * ends**slope
    guide = 0.5 * np.exp(y[np.argmin(x)]) * (ends / ends[0]) ** expected
    curves = [Curve("fit", ends, fitted, "fit"), Curve(f"limit: slope {expected:g}", ends, guide, "guide")]
    for place, each in enumerate(np.unique(depth[resolved])):
        here = np.flatnonzero(resolved & (depth == each))
        here = here[np.argsort(ratio[here])]
        curves.append(
            Curve("" if place else "theory, each depth", ratio[here], np.abs(theory[here]), "theory")
        )
    return Plot(
        r"depth over width, $L/n$",
        rf"$|\kappa_{{{order}}}|\, /\, K^{{{order // 2}}}$",
        tuple(series),
        tuple(curves),
    )


def _power(exponent: float) -> str:
    """A small exponent as superscript; nothing for 1."""
    return "" if exponent == 1 else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in f"{exponent:.0f}")
