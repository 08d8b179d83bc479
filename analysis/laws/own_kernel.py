"""Late-time decay rate against the network's own measured kernel: slope 1 at every width."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from widesweep.analysis.fitting.fit import Estimate
from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge, undecided
from widesweep.analysis.laws.kinds.points import cell_axes, coordinates
from widesweep.analysis.laws.kinds.regime import PLAIN, Regime
from widesweep.analysis.reading.cell_summary import CellSummary

Array = NDArray[np.float64]

NAME = "convergence_rate_own_kernel"
TITLE = "Late-time decay rate is that of the network's own kernel"
READS = ("fits/rate", "fits/rate_own_kernel")  # in the store; the law's reference says so
TOLERANCE = 0.05
FEWEST_NETWORKS = 6
REGIME = Regime((PLAIN,))


def find(summary: CellSummary) -> list[LawResult]:
    """The law's finding; none where nothing was trained.

    The slope is the median over networks of rate / (−log(1 − ηλ_min(G))), with the interval of a
    median; learning rates of one network are averaged first.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    if summary.fits is None:
        return []
    fits = summary.fits.transpose("width", "depth", "seed", "learning_rate")
    rate, own = (np.asarray(fits[name].values, dtype=np.float64) for name in ("rate", "rate_own_kernel"))
    ratio = rate / np.where(own > 0, own, np.nan)
    present = np.isfinite(ratio)
    count = present.sum(3)
    networks = (np.where(present, ratio, 0.0).sum(3) / np.maximum(count, 1))[count > 0]
    points = int(present.sum())
    if len(networks) < FEWEST_NETWORKS:
        reason = f"{len(networks)} networks have a rate in a fit window; {FEWEST_NETWORKS} are needed."
        return [undecided(NAME, TITLE, 1.0, reason, points)]
    estimate = median_interval(networks)
    verdict, power = judge(estimate, 1.0 - TOLERANCE, 1.0 + TOLERANCE)
    away = np.abs(ratio[present] - 1.0)
    note = (
        f"{power} Half of the cells agree within {100 * np.median(away):.1f} %, nine in ten within "
        f"{100 * np.quantile(away, 0.9):.1f} %; {100 * TOLERANCE:.0f} % is allowed. A ReLU neuron "
        "on its kink for one sample makes a rate fall below its kernel's."
    )
    r_squared = _r_squared(np.log(own[present]), np.log(rate[present]))
    plot = _plot(own, rate, fits)
    widths = fits["width"].values
    numbers = tuple(
        (f"median rate / own kernel's at m = {m:g}", f"{np.nanmedian(r):.3f}")
        for m, r in zip(widths, ratio, strict=True)
        if np.isfinite(r).any()
    )
    return [
        LawResult(
            NAME,
            TITLE,
            estimate,
            1.0,
            1.0 - TOLERANCE,
            1.0 + TOLERANCE,
            r_squared,
            points,
            verdict,
            note,
            plot,
            numbers,
        )
    ]


def median_interval(values: Array) -> Estimate:
    """Median of independent values with a 95 % interval between order statistics.

    The number of values below the median is binomial: from the d-th to the (n + 1 − d)-th value covers with
    probability γ_d. Of the two steps next to 95 % the ends are interpolated, as either alone covers up to
    several percent more or less.

    Source: Hettmansperger and Sheather 1986, Statistics and Probability Letters 4, 75.

    >>> estimate = median_interval(np.arange(1.0, 26.0))
    >>> estimate.value, round(estimate.low, 2), round(estimate.high, 2)
    (13.0, 8.2, 17.8)
    """
    ordered = np.sort(values)
    n = len(ordered)
    d = max(int(stats.binom.ppf(0.025, n, 0.5)), 1)
    wide, narrow = (1.0 - 2.0 * stats.binom.cdf(place - 1, n, 0.5) for place in (d, d + 1))
    share = max((wide - 0.95) / (wide - narrow), 0.0)
    inwards = (n - d) * share / (d + (n - 2 * d) * share)
    low = float((1.0 - inwards) * ordered[d - 1] + inwards * ordered[d])
    high = float((1.0 - inwards) * ordered[n - d] + inwards * ordered[n - d - 1])
    return Estimate(float(np.median(ordered)), (high - low) / 3.92, low, high, float(n - 1))


def _r_squared(x: Array, y: Array) -> float:
    """Share of the variance of log rate that the line y = x explains."""
    spread = float(((y - y.mean()) ** 2).sum())
    return 1.0 - float(((y - x) ** 2).sum()) / spread if spread > 0 else float("nan")


def _plot(own: Array, rate: Array, fits: xr.Dataset) -> Plot:
    """Every cell: fitted rate over its own kernel's."""
    series = []
    for d, depth in enumerate(int(d) for d in fits["depth"].values):
        x, y = own[:, d], rate[:, d]
        ok = np.isfinite(x) & np.isfinite(y) & (x > 0)
        if ok.any():
            of = coordinates(ok, *cell_axes(fits, depth))
            series.append(Series(f"depth {depth}", x[ok], y[ok], y[ok], y[ok], depth, True, of=of))
    every = np.concatenate([s.x for s in series])
    ends = np.array([0.85 * every.min(), 1.18 * every.max()])
    label = r"own kernel, $-\log(1 - \eta\,\lambda_{\min}(G))$ (per step)"
    return Plot(
        label, "fitted late-time rate (per step)", tuple(series), (Curve("theory: slope 1", ends, ends),)
    )
