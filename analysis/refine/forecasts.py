"""For each law: a forecast of its interval with more seeds, or the reason why seeds would not tighten it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.fitting.extrapolation import Extrapolation, limit_weights
from widesweep.analysis.fitting.fit import Estimate, means_over_seeds
from widesweep.analysis.laws import (
    convergence,
    iterations,
    layer_drift,
    own_kernel,
    weight_drift,
)
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.width_law import WidthLaw, finite_size_bend
from widesweep.analysis.laws.tables import WIDTH_LAWS
from widesweep.analysis.reading.axes import pooled
from widesweep.analysis.reading.cell_summary import DONE, CellSummary
from widesweep.analysis.reading.sweep import section
from widesweep.analysis.refine import draws, obstacles, spread
from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast, LimitForecast, PowerLawForecast

Array = NDArray[np.float64]

EVERY_WEIGHT = (
    "Its networks are drawn with every weight: initialization.networks says how many, and does not grow in a "
    "store."
)
LEAST_E_FOLDS = (
    10.0  # of a training, below which its rate has no fit window: two of them, after the transient
)
OWN_SPREADS = 1.0  # prior scatter of log variances of `iterations`: what is left beside κ differs by depth
HEAVY = 10.0  # excess kurtosis of its rates: one cell of eight never shows its slowest mode
SEEN = ("kernel_drift", "pattern_change")  # laws of the table whose forecasts were held against new seeds
TURNS = 5  # of weights and slope, each from the other
HESSIAN = ("hessian_norm", "hessian_gradient")
SAME_SEEDS = "All seeds agree: there is no spread for more of them to average out."


@dataclass(frozen=True)
class Forecast:
    """What may become of a law.

    Attributes:
        name: the law's name.
        half_width: of its interval now; NaN where it has none.
        forecast: its interval with more seeds; None where an obstacle stands.
        obstacle: why seeds would not tighten it; empty where nothing stands in the way.
    """

    name: str
    half_width: float
    forecast: LawForecast | None
    obstacle: str = ""


def forecast_laws(
    summary: CellSummary,
    law_results: Sequence[LawResult],
    widths: Array,
    depths: Array,
    goals: dict[str, float],
    condition: Array | None = None,
) -> list[Forecast]:
    """One forecast for each law result, in their order.

    Args:
        summary: the sweep reduced to a few numbers per cell.
        law_results: of its laws.
        widths: candidates, ascending, those of the sweep among them.
        depths: candidates, ascending, those of the sweep among them.
        goals: half-width wanted, by law; a law that is absent has none, and is forecast as it is.
        condition: λ_max/λ_min of the infinite-width kernel at each depth, for laws against it.

    >>> import xarray as xr
    >>> forecast_laws(CellSummary({}, None, None, None, xr.Dataset()), [], np.ones(1), np.ones(1), {})
    []
    """
    summary = pooled(summary)  # as the laws in width see an axis of variants
    every = (weight_drift.LAW, *(WIDTH_LAWS[name] for name in SEEN), *layer_drift.laws(summary))
    laws = {law.name: law for law in every}

    def forecast(result: LawResult) -> LawForecast:
        if result.name in laws:
            return _power_law(laws[result.name], summary, result, widths, depths)
        if result.name == convergence.NAME:
            return _limit(summary, result, widths, depths, goals.get(result.name, 0.0))
        if result.name == iterations.NAME and condition is not None:
            return _iterations(summary, result, widths, depths, condition)
        raise _ObstacleError(_elsewhere(result.name))

    return [_forecast(result, forecast) for result in law_results]


def draw_forecasts(
    summary: CellSummary, law_results: Sequence[LawResult], where: Candidates
) -> list[Forecast]:
    """One forecast for each law result that rests on random networks, in their order.

    Args:
        summary: the sweep reduced to a few numbers per cell.
        law_results: of its laws.
        where: candidates; their seeds are units of draws.

    >>> import xarray as xr
    >>> one, pair = np.ones(1), np.ones((1, 1))
    >>> where = Candidates(one, one, one, pair[..., None], pair, 0.0 * pair, pair > 0)
    >>> draw_forecasts(CellSummary({}, None, None, None, xr.Dataset()), [], where)
    []
    """
    laws = draws.drawn_laws(summary)

    def forecast(result: LawResult) -> LawForecast:
        if result.name in HESSIAN:
            raise _ObstacleError(EVERY_WEIGHT)
        _stop_if(draws.missed(laws[result.name][2]))
        return draws.forecast(result.name, result.estimate.half_width, laws[result.name], where)

    return [_forecast(r, forecast) for r in law_results if r.name in (*HESSIAN, *laws)]


class _ObstacleError(Exception):
    """Seeds would not tighten a law; the text says why."""


def _stop_if(obstacle: str) -> None:
    if obstacle:
        raise _ObstacleError(obstacle)


def _forecast(result: LawResult, forecast: Callable[[LawResult], LawForecast]) -> Forecast:
    half = result.estimate.half_width
    try:
        _stop_if("" if np.isfinite(half) else f"It has no interval yet. {result.note}")
        return Forecast(result.name, half, forecast(result))
    except _ObstacleError as obstacle:
        return Forecast(result.name, half, None, str(obstacle))


def _elsewhere(name: str) -> str:
    if name.endswith("by_scale"):
        return "It is a law against the output scale at fixed width: lengthen network.output_scale."
    if name == own_kernel.NAME:
        return (
            "It is the median over all networks, to which each counts alike: adding the cheapest ones would "
            "narrow the interval and say nothing of the others."
        )
    return "No forecast of its interval is known here: give the config more seeds, which a store takes up."


def _spread(values: Array, x: Array, depths: Array, *prior: float) -> spread.Spread:
    found = spread.estimate(values, x, depths, *prior)
    if found is None:
        raise _ObstacleError(SAME_SEEDS)
    return found


def _power_law(
    law: WidthLaw, summary: CellSummary, result: LawResult, widths: Array, depths: Array
) -> LawForecast:
    log_y = law.log_values(summary)
    assert log_y is not None
    present = _widths(summary)
    own = _depths(summary) if law.depth is None else np.array([float(law.depth)])
    half = result.estimate.half_width
    found = _spread(log_y, present, own)
    _stop_if(obstacles.bent(log_y, np.log(present), found.variance(present, own) * found.averaged, half))
    return PowerLawForecast(
        law.name, half, np.log(widths), found.variance(widths, depths),
        _share(summary, np.isfinite(log_y), own, widths, depths), found.correlation,
        np.isin(depths, own), np.log1p(finite_size_bend(widths, float(present.min()))),
        found.future(widths, depths),
    )  # fmt: skip


def _iterations(
    summary: CellSummary, result: LawResult, widths: Array, depths: Array, condition: Array
) -> LawForecast:
    """Points at the measured log κ; at new widths and depths that of theory, shifted as measured ones are."""
    log_y, log_kappa = iterations.points(summary)
    log_x = iterations.of_networks(log_kappa)
    own_kappa = log_kappa - means_over_seeds(log_kappa)[:, :, None]
    log_y = log_y - _slope_to_come(log_y, own_kappa, result.estimate) * own_kappa
    half, slope, x = result.estimate.half_width, result.estimate.value, log_x[:, 0, 0]
    present, own = _widths(summary), _depths(summary)
    order = np.argsort(x)[: int(np.isfinite(x).sum())]
    found = _spread(log_y[order], np.exp(x[order]), np.ones(1), OWN_SPREADS, HEAVY)
    variance = found.variance(np.exp(x[order]), np.ones(1)) * found.averaged
    _stop_if(obstacles.bent(log_y[order], x[order], variance, half, "condition numbers"))
    theory = np.broadcast_to(np.log(condition), (len(widths), len(depths)))
    places = np.ix_(np.searchsorted(widths, present), np.searchsorted(depths, own))
    measured = x.reshape(len(present), len(own))
    every = theory + shift_along_depth(measured - theory[places], own, depths)
    there = np.zeros(every.shape, dtype=bool)
    there[places] = np.isfinite(measured)
    every[places] = np.where(there[places], measured, every[places])
    finite = np.isfinite(log_y).reshape(*measured.shape, *log_y.shape[2:])
    share = _share(summary, finite, own, widths, depths)
    per_e_fold = np.exp(np.nanmean(means_over_seeds(log_y)[..., 0] - slope * x[:, None]) + slope * every)
    share[(_steps(summary) < LEAST_E_FOLDS * per_e_fold) & ~there] = 0.0
    degrees = max(float((np.isfinite(own_kappa).sum(2) - 1.0).clip(0.0).sum()), 1.0)
    flat, one = every.ravel(), np.ones(1)
    return PowerLawForecast(
        result.name, half, flat, found.variance(np.exp(flat), one), share.reshape(-1, 1), found.correlation,
        np.array([True]), np.zeros(len(flat)), found.future(np.exp(flat), one),
        own_x=float(np.nansum(own_kappa**2)) / degrees,
    )  # fmt: skip


def _slope_to_come(log_y: Array, own_kappa: Array, estimate: Estimate) -> float:
    """The fitted slope on κ, drawn to that within networks of one shape as far as both errors have it.

    About the fitted slope the spread holds that slope's error, which the next round lowers. By no more than
    one standard error: the two slopes need not be the same.
    """
    centred = log_y - means_over_seeds(log_y)[:, :, None]
    slope, variance = estimate.value, np.inf
    for _ in range(TURNS):
        left = np.nansum((centred - slope * own_kappa) ** 2, axis=(1, 2, 3))
        pooled = left.sum() / max(int(np.isfinite(centred).sum()), 1)
        degrees = np.isfinite(centred).sum((1, 2, 3)) + 1.0
        weight = (degrees / np.maximum(left + pooled, 1e-300))[:, None, None, None]
        norm = float(np.nansum(weight * own_kappa**2))
        if norm <= 0:
            return estimate.value
        slope, variance = float(np.nansum(weight * own_kappa * centred)) / norm, 1.0 / norm
    shift = (slope - estimate.value) * estimate.error**2 / (estimate.error**2 + variance)
    return estimate.value + float(np.clip(shift, -estimate.error, estimate.error))


def _steps(summary: CellSummary) -> float:
    """Of each training; endless where the config does not say."""
    return float(section(summary.config, "training").get("steps", np.inf))


def shift_along_depth(shift: Array, own: Array, depths: Array) -> Array:
    """Means over widths at the measured depths, lines in log L between them, level beyond."""
    known = np.isfinite(shift).any(0)
    return np.interp(np.log(depths), np.log(own[known]), np.nanmean(shift[:, known], axis=0))


def _limit(summary: CellSummary, result: LawResult, widths: Array, depths: Array, goal: float) -> LawForecast:
    share_lost, note = convergence.lost_windows(summary)
    _stop_if(obstacles.windows(share_lost, convergence.MOST_LOST, note))
    ratio, shared = convergence.ratios(summary)
    present, own = _widths(summary), _depths(summary)
    found = _spread(Extrapolation(ratio, present).values, present, own)
    variance = found.variance(widths, depths)
    forecast = LimitForecast(
        result.name, result.estimate.half_width, variance,
        _share(summary, np.isfinite(ratio), own, widths, depths),
        lambda count: limit_weights(count, variance.mean(1), widths), shared, found.future(widths, depths),
    )  # fmt: skip
    if goal > 0:
        least = forecast.floor(np.ones((len(widths), len(depths), 1)))
        parts = f"the transient's remainder is ± {shared:.3f}, the rest is what extrapolation leaves open"
        _stop_if(obstacles.floor(least, goal, parts))
    return forecast


def _widths(summary: CellSummary) -> Array:
    assert summary.cells is not None
    return np.asarray(summary.cells["width"].values, dtype=np.float64)


def _depths(summary: CellSummary) -> Array:
    assert summary.cells is not None
    return np.asarray(summary.cells["depth"].values, dtype=np.float64)


def _share(
    summary: CellSummary, finite: NDArray[np.bool_], own: Array, widths: Array, depths: Array
) -> Array:
    """Share of finished cells that give the law a number, by pair; the overall one where nothing is yet."""
    assert summary.cells is not None
    status = (
        summary.cells["status"].sel(depth=own).transpose("width", "depth", "seed", "learning_rate").values
    )
    ended = (status >= DONE) & (status <= 3)
    good, tried = (finite & ended).sum((2, 3)), ended.sum((2, 3))
    share = np.full((len(widths), len(depths)), good.sum() / max(tried.sum(), 1))
    present = _widths(summary)
    for i, j in np.argwhere(tried > 0):
        share[np.flatnonzero(widths == present[i])[0], np.flatnonzero(depths == own[j])[0]] = (
            good[i, j] / tried[i, j]
        )
    return share
