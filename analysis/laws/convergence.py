"""Late-time decay rate, carried to infinite width, against −log(1 − ηλ_min(Θ^∞)): slope 1."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.fitting import fit
from widesweep.analysis.fitting.extrapolation import Extrapolation
from widesweep.analysis.fitting.rates import DIVERGED, NOT_DONE, WORDS
from widesweep.analysis.fitting.rates import OK as WINDOW_OK
from widesweep.analysis.laws.kinds.law_result import (
    INCONCLUSIVE,
    Curve,
    LawResult,
    Plot,
    Series,
    judge,
    undecided,
)
from widesweep.analysis.laws.kinds.points import constant, coordinates, rate_axis
from widesweep.analysis.laws.kinds.regime import NTK, PLAIN, STABLE, STANDARD, Regime, scaled
from widesweep.analysis.reading.axes import spoken
from widesweep.analysis.reading.cell_summary import NOT_REQUESTED, CellSummary

Array = NDArray[np.float64]

NAME = "convergence_rate"
TITLE = "Late-time decay rate is that of the infinite kernel"
READS = ("fits/rate", "theory/rate_predicted")  # in the store; the law's reference says so
TRUSTED = 0.02  # how far an extrapolation in width is trusted at all
REGIME = Regime((scaled((NTK, STANDARD), "; convergence_rate_own_kernel speaks of it"), PLAIN, STABLE))
MOST_LOST = 0.5  # share of finished cells without a window that leaves a biased rest
GROUP_RESAMPLES = 400
SURE = 10.0  # λ_min counts as positive above so many rounding errors


def find(summary: CellSummary) -> list[LawResult]:
    """The law's finding; none where nothing was trained or nothing is predicted.

    Each depth's ratio of rate to prediction is extrapolated in width; their common limit is the slope of
    the extrapolated rates over the predicted ones, through the origin.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    if summary.fits is None or "rate_predicted" not in summary.theory:
        return []
    ratio, shared = ratios(summary)
    extrapolation = Extrapolation(ratio, _widths(summary.fits))
    if not extrapolation.possible:
        reason = f"No depth has rates at three widths. {lost_windows(summary)[1]}"
        return [undecided(NAME, TITLE, 1.0, reason, int(np.isfinite(ratio).sum()))]
    return [_law_result(summary, ratio, shared, extrapolation)]


def _widths(fits: xr.Dataset) -> Array:
    return np.asarray(fits["width"].values, dtype=np.float64)


def _law_result(summary: CellSummary, ratio: Array, shared: float, extrapolation: Extrapolation) -> LawResult:
    assert summary.fits is not None
    estimate = fit.bootstrap(extrapolation.values, extrapolation.limit)
    estimate = estimate.widened(float(np.hypot(shared, extrapolation.systematic)))
    lost, windows = lost_windows(summary)
    verdict, power = _verdict(estimate, lost)
    predicted, excluded = _predictions(summary)
    widths = _widths(summary.fits)
    plot, limits = _plot(ratio, predicted, summary.fits)
    limits_note, r_squared = _log_slope(limits)
    sentences = (
        power, _in_the_interval(extrapolation.systematic, shared), limits_note, excluded,
        _averaged(summary.fits), windows,
    )  # fmt: skip
    return LawResult(
        NAME, TITLE, estimate, 1.0, 1.0 - TRUSTED, 1.0 + TRUSTED, r_squared, int(np.isfinite(ratio).sum()),
        verdict, " ".join(s for s in sentences if s), plot, _by_width(ratio, widths),
    )  # fmt: skip


def _verdict(estimate: fit.Estimate, lost: float) -> tuple[str, str]:
    """That of the interval, unless the cells that are left make a biased rest."""
    verdict, power = judge(estimate, 1.0 - TRUSTED, 1.0 + TRUSTED)
    if lost > MOST_LOST and verdict != INCONCLUSIVE:
        reason = "Most finished cells have no fit window: longer training is needed."
        return INCONCLUSIVE, reason
    return verdict, power


def _in_the_interval(systematic: float, shared: float) -> str:
    return (
        f"Extrapolated in width with terms in 1/√m and 1/m; what they leave open (± {systematic:.3f}) "
        f"and the transient's remainder (± {shared:.3f}) are in the interval."
    )


def _averaged(fits: xr.Dataset) -> str:
    """What becomes of variants, in words; empty without such an axis."""
    return f"{spoken(fits)} are averaged like learning rates." if spoken(fits) else ""


def ratios(summary: CellSummary) -> tuple[Array, float]:
    """Fitted over predicted rate, (width, depth, seed, rate), and the transient's mean relative remainder.

    NaN where a cell has no fit window or no prediction.
    """
    assert summary.fits is not None
    predicted, _ = _predictions(summary)
    fits = summary.fits.transpose("width", "depth", "seed", "learning_rate")
    rate = np.asarray(fits["rate"].values, dtype=np.float64)
    settling = fits["rate_standard_error"].values / np.where(rate > 0, rate, np.nan)
    shared = float(np.nanmean(settling)) if np.isfinite(settling).any() else float("nan")
    return rate / np.where(predicted > 0, predicted, np.nan)[None, :, None, :], shared


def lost_windows(summary: CellSummary) -> tuple[float, str]:
    """Share of the finished cells without a fit window, and how many have one, in words."""
    assert summary.fits is not None
    flag = np.asarray(summary.fits["rate_flag"].values)
    if summary.cells is not None:
        status = summary.cells["status"].transpose(*summary.fits["rate_flag"].dims).values
        flag = flag[status != NOT_REQUESTED]
    return _lost(flag), _windows(flag)


def _predictions(summary: CellSummary) -> tuple[Array, str]:
    """Predicted rates (depth, rate); NaN where the largest eigenvalue would rule at late times."""
    assert summary.fits is not None
    theory = summary.theory.sel(depth=summary.fits["depth"].values)
    predicted = theory["rate_predicted"].transpose("depth", "learning_rate").values.astype(np.float64)
    training = summary.config.get("training")
    settings = training if isinstance(training, dict) else {}
    if "lambda_max" not in theory or "lambda_min" not in theory:
        return predicted, ""
    least, largest = (_of_rates(theory, name) for name in ("lambda_min", "lambda_max"))
    rounding = _of_rates(theory, "lambda_rounding_error") if "lambda_rounding_error" in theory else 0.0
    positive = least > SURE * rounding
    predicted = np.where(positive & (least > 0), predicted, np.nan)
    if settings.get("optimizer", "gd") == "gradient_flow":
        return predicted, _singular(positive)
    eta = -np.expm1(-predicted) / np.where(least > 0, least, np.nan)
    edge = np.abs(1.0 - eta * largest) >= np.exp(-predicted)
    note = "Learning rates whose largest mode decays slowest are left out." if edge.any() else ""
    return np.where(edge, np.nan, predicted), " ".join(s for s in (note, _singular(positive)) if s)


def _of_rates(theory: xr.Dataset, name: str) -> Array:
    """A prediction by (depth, rate), repeated where it has no rates."""
    values = theory[name].broadcast_like(theory["rate_predicted"]).transpose("depth", "learning_rate")
    return np.asarray(values.values, dtype=np.float64)


def _singular(positive: NDArray[np.bool_]) -> str:
    """A word on depths whose λ_min is no more than rounding."""
    return "" if positive.all() else "Depths whose λ_min(Θ^∞) is within rounding of 0 are left out."


def _windows(flag: NDArray[np.int8]) -> str:
    """How many cells have a fit window, and why the others have none."""
    lost = [f"{int((flag == i).sum())} {words}" for i, words in enumerate(WORDS) if i and (flag == i).any()]
    text = f"{int((flag == WINDOW_OK).sum())} of {flag.size} cells have a fit window"
    return text + (f" ({', '.join(lost)})." if lost else ".")


def _lost(flag: NDArray[np.int8]) -> float:
    """Share of the finished cells without a fit window."""
    finished = flag[~np.isin(flag, (DIVERGED, NOT_DONE))]
    return float((finished != WINDOW_OK).mean()) if finished.size else 0.0


def _by_width(ratio: Array, widths: Array) -> tuple[tuple[str, str], ...]:
    """Mean ratio at each width, for the report."""
    return tuple(
        (f"rate / prediction at m = {m:g}", f"{np.nanmean(r):.3f}")
        for m, r in zip(widths, ratio, strict=True)
        if np.isfinite(r).any()
    )


def _plot(ratio: Array, predicted: Array, fits: xr.Dataset) -> tuple[Plot, list[tuple[float, float]]]:
    """Extrapolated rates over predicted ones, the finite widths behind them."""
    series: list[Series] = []
    limits: list[tuple[float, float]] = []
    widths, along_rates = _widths(fits), rate_axis(fits)
    for d, depth in enumerate(int(d) for d in fits["depth"].values):
        rows, there = [], np.zeros(ratio.shape[3], dtype=bool)
        for r in range(ratio.shape[3]):
            x = predicted[d, r]
            one = Extrapolation(ratio[:, d : d + 1, :, r : r + 1], widths)
            if not np.isfinite(x) or not one.possible:
                continue
            estimate = fit.bootstrap(one.values, one.limit, resamples=GROUP_RESAMPLES)
            estimate = estimate.widened(one.systematic)
            low, high = np.nan_to_num((estimate.low, estimate.high), nan=estimate.value)  # one seed: no bar
            rows.append((x, estimate.value * x, max(low, 1e-3) * x, high * x))
            limits.append((x, estimate.value * x))
            there[r] = True
        if rows:
            x_, y_, low_, high_ = (np.array(c) for c in zip(*rows, strict=True))
            of = (
                constant("width", np.inf, len(rows)),
                constant("depth", depth, len(rows)),
                *coordinates(there, along_rates),
            )
            series.append(Series(f"depth {depth}, m → ∞", x_, y_, low_, high_, depth, of=of))
        y = fit.means_over_seeds(ratio[:, d : d + 1])[:, 0] * predicted[d]
        x = np.broadcast_to(predicted[d], y.shape)
        ok = np.isfinite(y)
        if ok.any():
            along_widths = (("width", widths), constant("depth", depth, len(widths)))
            of, label = coordinates(ok, along_widths, along_rates), f"depth {depth}, finite m"
            series.append(Series(label, x[ok], y[ok], y[ok], y[ok], depth, True, 1.03, of))
    every = predicted[np.isfinite(predicted)]
    ends = np.array([0.8 * every.min(), 1.25 * every.max()]) if every.size else np.array([0.1, 1.0])
    curves = (Curve("theory: slope 1", ends, ends, "theory"),)
    label = r"predicted rate $-\log(1 - \eta\,\lambda_{\min}(\Theta^\infty))$ (per step)"
    return Plot(label, "fitted late-time rate (per step)", tuple(series), curves), limits


def _log_slope(limits: list[tuple[float, float]]) -> tuple[str, float]:
    """Slope of log r∞ on log prediction, in words, and R² about the line y = x."""
    pairs = np.array([pair for pair in limits if pair[1] > 0])
    if len(pairs) < 2 or np.ptp(np.log(pairs[:, 0])) < 0.1:
        return "", float("nan")
    x, y = np.log(pairs).T
    spread = float(((y - y.mean()) ** 2).sum())
    slope = float(np.polyfit(x, y, 1)[0])
    r_squared = 1.0 - float(((y - x) ** 2).sum()) / spread
    return f"In log-log the extrapolated rates rise with slope {slope:.2f}.", r_squared
