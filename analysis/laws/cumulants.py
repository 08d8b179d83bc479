"""κ_order of one output at initialisation, normalised by K^(order/2), against L/n: slope order/2 − 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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


@dataclass(frozen=True)
class _Pairs:
    """The (width, depth) pairs of one order, flat.

    Attributes:
        ratio: L/n.
        kappa: normalised cumulant; NaN where a pair is not finished.
        error: its standard error.
        theory: its prediction.
        depth: L.
    """

    ratio: Array
    kappa: Array
    error: Array
    theory: Array
    depth: NDArray[np.int64]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Pairs that are measured and predicted."""
        numbers = np.isfinite(self.kappa) & np.isfinite(self.error) & np.isfinite(self.theory)
        return np.asarray(numbers & (self.theory != 0) & (self.ratio > 0))

    @cached_property
    def resolved(self) -> NDArray[np.bool_]:
        """Pairs whose draws tell the cumulant from 0."""
        large = np.abs(self.theory) > RESOLVED * self.error
        return np.asarray(self.known & large & (self.kappa * self.theory > 0))

    @cached_property
    def score(self) -> Array:
        """Measured less predicted, in standard errors, of the known pairs."""
        difference, error = (self.kappa - self.theory)[self.known], self.error[self.known]
        return np.asarray(difference / np.where(error > 0, error, np.nan))


class _Logs:
    """The resolved pairs in the logs.

    Attributes:
        x: log L/n.
        y: log |κ|.
        theory: log of its prediction.
        error: standard errors of y.
        bent: slope of the prediction on these pairs.
    """

    def __init__(self, pairs: _Pairs) -> None:
        of = pairs.resolved
        self.x, self.y = np.log(pairs.ratio[of]), np.log(np.abs(pairs.kappa[of]))
        self.theory = np.log(np.abs(pairs.theory[of]))
        error = np.where(pairs.error > 0, pairs.error / np.abs(pairs.theory), np.nan)[of]
        self.error = np.where(np.isfinite(error), error, np.nanmin(error, initial=1.0))
        self.bent = _line(self.x, self.theory, self.error)[0]

    def estimate(self) -> tuple[Estimate, float]:
        """The slope with its interval, stretched where pairs miss the prediction, and R²."""
        slope, error, r_squared = _line(self.x, self.y, self.error)
        half = 1.96 * error * _misfit(self.x, self.y - self.theory, self.error)
        return Estimate(slope, half / 1.96, slope - half, slope + half, float(len(self.x) - 2)), r_squared


def _find(evidence: Evidence, order: int) -> Finding:
    name, expected = f"cumulant_{order}", order / 2 - 1
    title = f"κ{order} of an output grows like {'L/n' if expected == 1 else '(L/n)' + _power(expected)}"
    pairs = _pairs(evidence, order)
    count = int(pairs.resolved.sum())
    if count < FEWEST_POINTS or len(np.unique(pairs.ratio[pairs.resolved])) < 2:
        reason = f"Draws resolve {count} (width, depth) pairs; {FEWEST_POINTS} are needed."
        return undecided(name, title, expected, reason, count)
    logs = _Logs(pairs)
    estimate, r_squared = logs.estimate()
    kind = str(evidence.theory["cumulant_predicted"].attrs.get("approximation", "exact"))
    low, high, allowed = _allowed(kind, logs, expected)
    verdict, power = judge(estimate, low, high)
    tails = _tails(evidence, order, pairs.ratio[pairs.known])
    note = " ".join(s for s in (power, allowed, *_agreement(pairs), tails) if s)
    plot = _plot(order, expected, pairs, logs, estimate.value)
    return Finding(
        name, title, estimate, expected, low, high, r_squared, count, verdict, note, plot,
        _numbers(pairs, logs, estimate.value),
    )  # fmt: skip


def _agreement(pairs: _Pairs) -> tuple[str, str]:
    """How the pairs agree with their predictions one by one, and how many are left out of the line."""
    within, known = int((np.abs(pairs.score) <= 5).sum()), int(pairs.known.sum())
    unresolved = known - int(pairs.resolved.sum())
    return (
        f"{within} of {known} pairs lie within 5 standard errors of the prediction (largest |z| "
        f"{np.nanmax(np.abs(pairs.score)):.1f}).",
        f"{unresolved} pairs are too small for their draws." if unresolved else "",
    )


def _numbers(pairs: _Pairs, logs: _Logs, slope: float) -> tuple[tuple[str, str], ...]:
    """Rows for the report."""
    return (
        ("slope of the prediction on these pairs", f"{logs.bent:.4f}"),
        ("scatter about one curve in L/n (log)", f"{np.std(logs.y - slope * logs.x):.3f}"),
        ("largest |z| of a pair", f"{np.nanmax(np.abs(pairs.score)):.2f}"),
    )


def _pairs(evidence: Evidence, order: int) -> _Pairs:
    group = evidence.initialization
    assert group is not None
    one = group.sel(order=order).transpose("width", "depth", ...)
    predicted = evidence.theory["cumulant_predicted"].sel(order=order).transpose("width", "depth", ...)
    width, depth = np.meshgrid(one["width"].values, one["depth"].values, indexing="ij")
    kappa = np.asarray(one["cumulant"].values, dtype=np.float64)
    if "status" in one:
        kappa = np.where(one["status"].values == 1, kappa, np.nan)
    error = np.asarray(one["cumulant_standard_error"].values, dtype=np.float64).ravel()
    theory = np.asarray(predicted.values, dtype=np.float64).ravel()
    return _Pairs((depth / width).ravel(), kappa.ravel(), error, theory, depth.ravel().astype(np.int64))


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


def _allowed(kind: str, logs: _Logs, expected: float) -> tuple[float, float, str]:
    """Slopes that theory allows on these pairs: the prediction's, with what it leaves open."""
    bent = logs.bent
    if kind == "exact":
        slack = EXACT_TOLERANCE * expected
        text = f"The exact values have slope {bent:.3f} on these pairs (limit {expected:g} as L/n → 0)."
        return bent - slack, bent + slack, text
    factor = np.log1p(np.minimum(NEXT_ORDER * np.exp(logs.x), 1.0))
    shift = abs(_line(logs.x, factor, logs.error)[0]) * expected
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


def _plot(order: int, expected: float, pairs: _Pairs, logs: _Logs, slope: float) -> Plot:
    """All pairs on one curve in L/n, the prediction through them, the fit."""
    ratio, depth, resolved, x, y = pairs.ratio, pairs.depth, pairs.resolved, logs.x, logs.y
    series = []
    for each in np.unique(depth[resolved]):
        here = resolved & (depth == each)
        k, half = np.abs(pairs.kappa[here]), 1.96 * np.nan_to_num(pairs.error[here])
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
            Curve("" if place else "theory, each depth", ratio[here], np.abs(pairs.theory[here]), "theory")
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
