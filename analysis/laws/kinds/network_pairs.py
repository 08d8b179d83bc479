"""The (width, depth) pairs of random networks, measured and predicted, and a line through their logs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from widesweep.analysis.fitting.fit import Estimate
from widesweep.theory.finite_width.sampling import relative_error

Array = NDArray[np.float64]

DONE = 1
DEGREES = 63  # of each standard error: a jackknife over 64 groups of draws
SMALLEST = 1e-3  # variance of q below which cumulants of the log-normal form cancel to rounding
RESOLVED = 5.0  # a point counts if its predicted value is so many standard errors away from 0


def pairs_of(
    group: xr.Dataset,
    value: xr.DataArray,
    error: xr.DataArray,
    predicted: xr.DataArray | None,
    *,
    along_depth: bool = False,
) -> Pairs:
    """The (width, depth) pairs of /initialization, those that are not done as NaN.

    >>> one = xr.DataArray([[1.0]], dims=("width", "depth"), coords={"width": [8], "depth": [2]})
    >>> float(pairs_of(one.to_dataset(name="a"), one, one, one).ratio[0])
    0.25
    """
    value = value.transpose("width", "depth")
    width, depth = np.meshgrid(value["width"].values, value["depth"].values, indexing="ij")
    measured = np.asarray(value.values, dtype=np.float64)
    if "status" in group:
        measured = np.where(group["status"].transpose("width", "depth").values == DONE, measured, np.nan)
    errors = np.asarray(error.transpose("width", "depth").values, dtype=np.float64)
    theory = np.full(measured.shape, np.nan)
    if predicted is not None:
        theory = np.asarray(predicted.transpose("width", "depth").values, dtype=np.float64)
    ratio = depth / width
    x = depth + 1.0 if along_depth else ratio
    return Pairs(
        x.ravel(),
        ratio.ravel(),
        measured.ravel(),
        errors.ravel(),
        theory.ravel(),
        depth.ravel().astype(np.int64),
    )


@dataclass(frozen=True)
class Pairs:
    """The (width, depth) pairs of one quantity, flat.

    Attributes:
        x: what the quantity is a power of: L/n, or the output's layer number L + 1.
        ratio: L/n.
        value: the quantity; NaN where a pair is not finished.
        error: its standard error.
        theory: its prediction.
        depth: L.
    """

    x: Array
    ratio: Array
    value: Array
    error: Array
    theory: Array
    depth: NDArray[np.int64]

    def on_a_power_law(self, exponent: float) -> Pairs:
        """The same with a prediction of the best amplitude: theory knows the exponent alone."""
        there = np.isfinite(self.value) & (self.value > 0) & (self.error > 0)
        weight = np.where(there, (self.value / np.where(there, self.error, 1.0)) ** 2, 0.0)
        logs = np.log(np.where(there, self.value, 1.0)) - exponent * np.log(self.x)
        amplitude = np.exp((weight * logs).sum() / max(float(weight.sum()), 1e-300))
        return replace(self, theory=amplitude * self.x**exponent)

    def sampled(self, order: int, variance: Array, draws: Array) -> Pairs:
        """The same with errors no smaller than so many draws allow.

        A jackknife's error is too small exactly where the largest draw, which rules a heavy-tailed moment,
        has not come: in 300 samples of log-normal q its intervals covered 76 to 94 % of cumulants of order 2
        and 3, and 95 to 100 % with this floor.

        Args:
            order: of the cumulant of q that the quantity is proportional to.
            variance: Var(q)/E[q]² of each pair.
            draws: of each pair; 0 where unknown, which leaves its error as it is.
        """
        relative = relative_error(order, np.maximum(variance, SMALLEST), np.maximum(draws, 1.0))
        floor = np.where(draws > 0, np.abs(self.theory) * relative, 0.0)
        return replace(self, error=np.fmax(self.error, floor))

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Pairs that are measured and predicted."""
        numbers = np.isfinite(self.value) & np.isfinite(self.error) & np.isfinite(self.theory)
        return np.asarray(numbers & (self.theory != 0) & (self.x > 0))

    @cached_property
    def resolved(self) -> NDArray[np.bool_]:
        """Pairs whose draws tell the quantity from 0."""
        large = np.abs(self.theory) > RESOLVED * self.error
        return np.asarray(self.known & large & (self.value * self.theory > 0))

    @cached_property
    def score(self) -> Array:
        """Measured less predicted, in standard errors, of the known pairs."""
        difference, error = (self.value - self.theory)[self.known], self.error[self.known]
        return np.asarray(difference / np.where(error > 0, error, np.nan))


class Logs:
    """The resolved pairs in the logs.

    Attributes:
        x: log x.
        ratio: L/n.
        y: log |value|.
        theory: log of its prediction.
        error: standard errors of y.
        bent: slope of the prediction on these pairs.
    """

    def __init__(self, pairs: Pairs) -> None:
        """Takes the logs of what is resolved."""
        of = pairs.resolved
        self.x, self.y = np.log(pairs.x[of]), np.log(np.abs(pairs.value[of]))
        self.ratio = pairs.ratio[of]
        self.theory = np.log(np.abs(pairs.theory[of]))
        error = np.where(pairs.error > 0, pairs.error / np.abs(pairs.theory), np.nan)[of]
        self.error = np.where(np.isfinite(error), error, np.nanmin(error, initial=1.0))
        self.bent = line(self.x, self.theory, self.error)[0]

    def estimate(self) -> tuple[Estimate, float]:
        """The slope with its interval, stretched where pairs miss the prediction, and R².

        Weights that are themselves estimated make the variance 1 + 4/DEGREES times what they say it is.

        Source: Meier 1953, Variance of a weighted mean, Biometrics 9, 59.
        """
        slope, error, r_squared = line(self.x, self.y, self.error)
        stretch = self._misfit() * np.sqrt(1.0 + 4.0 / DEGREES)
        half = 1.96 * error * float(stretch)
        return Estimate(slope, half / 1.96, slope - half, slope + half, float(len(self.x) - 2)), r_squared

    def misfit(self) -> tuple[float, int]:
        """χ² of measured less predicted about a power law, and its degrees of freedom."""
        difference = self.y - self.theory
        slope, _, _ = line(self.x, difference, self.error)
        weight = 1.0 / self.error**2
        centred = difference - (weight * difference).sum() / weight.sum()
        dx = self.x - (weight * self.x).sum() / weight.sum()
        return float((weight * (centred - slope * dx) ** 2).sum()), len(self.x) - 2

    def _misfit(self) -> float:
        """Birge's factor sqrt(χ²/degrees) of the misfit, where that is significantly above 1."""
        chi, degrees = self.misfit()
        significant = degrees > 0 and chi > stats.chi2.ppf(0.95, degrees)
        return float(np.sqrt(chi / degrees)) if significant else 1.0


def line(x: Array, y: Array, error: Array) -> tuple[float, float, float]:
    """Weighted least-squares slope, its standard error from the points' errors, R².

    >>> slope, error, r_squared = line(np.array([0.0, 1.0]), np.array([1.0, 3.0]), np.ones(2))
    >>> float(slope), round(error, 3), r_squared
    (2.0, 1.414, 1.0)
    """
    weight = 1.0 / error**2
    dx = x - (weight * x).sum() / weight.sum()
    dy = y - (weight * y).sum() / weight.sum()
    sxx = float((weight * dx**2).sum())
    slope = float((weight * dx * dy).sum()) / sxx
    left, spread = float((weight * (dy - slope * dx) ** 2).sum()), float((weight * dy**2).sum())
    return slope, sxx**-0.5, 1.0 - left / spread if spread > 0 else 1.0
