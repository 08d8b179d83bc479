"""Steps per e-fold of the residual against the condition number: κ for gradient descent, √κ for Nesterov."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.fitting import fit
from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge, undecided
from widesweep.analysis.laws.kinds.points import constant, coordinates
from widesweep.analysis.laws.kinds.regime import STABLE, Regime, stability_of_one, trained_by
from widesweep.analysis.laws.kinds.width_law import geometric_bars
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.reading.sweep import section

Array = NDArray[np.float64]

NAME = "iterations"
READS = ("fits/rate", "training/ntk_min_eigenvalue", "training/learning_rate_absolute")
EXPECTED = {"gd": 1.0, "nesterov": 0.5}
TITLES = {
    "gd": "Gradient descent takes steps in proportion to the condition number",
    "nesterov": "Nesterov's method takes steps in proportion to its square root",
}
REGIME = Regime((trained_by(("gd", "nesterov"), "theory gives it no exponent of κ"), STABLE))
TOLERANCE = 0.1
FEW_RATES = (
    " So few networks may hold none of those that hardly show their slowest mode, one in ten: intervals of "
    "five seeds at three depths cover 90 %."
)
FEWEST_GROUPS = 3
FEWEST_FOR_TAILS = 29  # rates of which one in ten hardly shows its slowest mode: fewer may hold none of these
NARROWEST = np.log(4.0)  # range of κ below which an exponent says nothing


def find(summary: CellSummary) -> list[LawResult]:
    """The law's finding; none where nothing was trained, or the optimiser is another.

    y = 1/rate, the late-time steps per e-fold of ‖r‖; x = 1/(ηλ_min) with the cell's own kernel at its last
    record: the condition number λ_max/λ_min where η = 1/λ_max. One point for each (width, depth), their
    geometric means over seeds, one amplitude for each learning rate, which must be relative to λ_max. Rates
    have heavy tails, as some labels hardly have the slowest mode: see `heavy_tails` of `fit.bootstrap`.

    Source: Nesterov, Introductory Lectures on Convex Optimization, 2004, sections 2.1.5 and 2.2.1.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    settings = section(summary.config, "training")
    optimizer = str(settings.get("optimizer", "gd"))
    relative = stability_of_one(summary) is not None
    if summary.fits is None or summary.cells is None or optimizer not in EXPECTED or not relative:
        return []
    log_y, log_kappa = points(summary)
    log_x = of_networks(log_kappa)
    weight = np.isfinite(log_y).sum(2).astype(np.float64)
    groups = weight.any(-1)[:, 0]
    span = float(np.ptp(log_x[groups])) if groups.any() else 0.0
    if groups.sum() < FEWEST_GROUPS or span < NARROWEST:
        return []  # such a grid does not ask this question
    estimator = fit.power_law(np.where(np.isfinite(log_x), log_x, 0.0), weight)
    r_squared = fit.r_squared(log_x, fit.means_over_seeds(log_y), weight)
    slope = float(estimator(fit.means_over_seeds(log_y)))
    along = slope * (
        log_kappa - fit.means_over_seeds(log_kappa)[:, :, None]
    )  # what each cell's own κ explains
    estimate = fit.bootstrap(log_y - along, estimator, heavy_tails=True)
    expected, title = EXPECTED[optimizer], TITLES[optimizer]
    if not np.isfinite(estimate.value):
        return [undecided(NAME, title, expected, "No slope could be formed.", int(weight.sum()))]
    low, high = expected - TOLERANCE, expected + TOLERANCE
    verdict, power = judge(estimate, low, high)
    note = (
        f"{power} κ goes from {np.exp(np.nanmin(log_x)):.0f} to {np.exp(np.nanmax(log_x)):.0f} over the grid."
    )
    if np.isfinite(log_y).any(3).sum() < FEWEST_FOR_TAILS:
        note += FEW_RATES
    plot = _plot(summary, log_x, log_y, estimate.value)
    return [
        LawResult(
            NAME, title, estimate, expected, low, high, r_squared, int(weight.sum()), verdict, note, plot
        )
    ]


def points(summary: CellSummary) -> tuple[Array, Array]:
    """log(1/rate) and log κ of each cell, shape (width and depth, 1, seed, rate)."""
    assert summary.fits is not None
    assert summary.cells is not None
    dims = ("width", "depth", "seed", "learning_rate")
    rates = summary.fits["rate"].transpose(*dims)
    rate, eta = rates.values, summary.cells["learning_rate_absolute"].broadcast_like(rates).values
    least = summary.cells["ntk_min_eigenvalue"].transpose(*dims).values
    with np.errstate(divide="ignore", invalid="ignore"):
        log_kappa = np.where(np.isfinite(rate), -np.log(eta * least), np.nan)
        log_y = np.where(np.isfinite(log_kappa), -np.log(rate), np.nan)
    shape = (rate.shape[0] * rate.shape[1], 1, *rate.shape[2:])
    return log_y.reshape(shape), log_kappa.reshape(shape)


def of_networks(log_kappa: Array) -> Array:
    """Means over seeds and learning rates, shape (width and depth, 1, 1)."""
    count = np.isfinite(log_kappa).sum((2, 3))
    total = np.where(np.isfinite(log_kappa), log_kappa, 0.0).sum((2, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[..., None]


def _plot(summary: CellSummary, log_x: Array, log_y: Array, slope: float) -> Plot:
    assert summary.cells is not None
    rates, x = summary.cells["learning_rate"].values, log_x[:, 0, 0]
    widths, depths = (summary.cells[name].values for name in ("width", "depth"))
    networks = (("width", np.repeat(widths, len(depths))), ("depth", np.tile(depths, len(widths))))
    series = []
    for r, rate in enumerate(rates):
        ok = np.asarray(np.isfinite(log_y[:, 0, :, r]).any(1))
        if ok.any():
            mean, half = geometric_bars(log_y[ok, 0, :, r])
            low, high = np.exp(mean - half), np.exp(mean + half)
            seeds = np.isfinite(log_y[ok, 0, :, r]).sum(1).astype(np.float64)
            shared = (constant("η", rate, len(seeds)), ("seeds", seeds))
            of, label = (*coordinates(ok, networks), *shared), f"η = {rate:g}/λ_max"
            series.append(Series(label, np.exp(x[ok]), np.exp(mean), low, high, 0, r % 2 == 1, of=of))
    ends = np.array([np.nanmin(x), np.nanmax(x)])
    centre, level = np.nanmean(x), np.nanmean(fit.means_over_seeds(log_y))
    curve = Curve("", np.exp(ends), np.exp(level + slope * (ends - centre)), "fit")
    return Plot(
        "condition number κ = 1/(ηλ_min), λ_max/λ_min at η = 1/λ_max",
        "steps per e-fold of ‖r‖",
        tuple(series),
        (curve,),
    )
