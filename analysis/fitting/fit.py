"""Power laws fitted to means over seeds, with a bootstrap over seeds that is honest with five of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Estimator = Callable[[Array], Array]

RESAMPLES = 2000
FEWEST_RESAMPLES, WEIGHTS = 500, 100_000  # with many seeds fewer resamples will do
SEED = 20_220_401
AGREE = 1e-12  # spread of seeds, relative to their values, that rounding alone may leave


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: the estimate.
        error: its standard error.
        low: lower end of the 95 % interval.
        high: upper end.
        degrees: effective degrees of freedom behind the error.
    """

    value: float
    error: float
    low: float
    high: float
    degrees: float

    @property
    def half_width(self) -> float:
        """Half of the interval's length."""
        return (self.high - self.low) / 2.0

    def widened(self, systematic: float) -> Estimate:
        """The same with an error that all points share, added in quadrature."""
        half = float(np.hypot(self.half_width, 1.96 * systematic))
        error = float(np.hypot(self.error, systematic))
        return Estimate(self.value, error, self.value - half, self.value + half, self.degrees)


def means_over_seeds(values: Array) -> Array:
    """Mean over seeds, axis 2, of what is there; NaN where nothing is."""
    count = np.isfinite(values).sum(2)
    total = np.where(np.isfinite(values), values, 0.0).sum(2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def resampled_means(values: Array, *, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Bootstrap of `means_over_seeds`: seeds drawn anew within each (width, depth), learning rates together.

    Networks of different width or depth are independent draws even under one seed number; learning rates
    of one seed share the initialisation and stay together. Seeds get exponential weights in place of
    counts (the smooth bootstrap of Rubin), whose means have (n − 1)/(n + 1) of the variance that they should
    have with n seeds: deviations are stretched by the root of the inverse. A group of one seed borrows the
    spread of the others.

    Args:
        values: shape (width, depth, seed, rate); NaN where a cell is missing.
        resamples: number of bootstrap samples.
        seed: of the generator, so that two analyses agree to the last bit.

    Returns:
        Shape (resamples, width, depth, rate).

    Source: Rubin 1981, The Bayesian Bootstrap.

    >>> resampled_means(np.ones((2, 1, 5, 1)), resamples=3).shape
    (3, 2, 1, 1)
    """
    widths, depths, _, rates = values.shape
    generator = np.random.default_rng(seed)
    centre = means_over_seeds(values)
    present = np.isfinite(values)
    filled = np.where(present, values - centre[:, :, None, :], 0.0)
    spread = _pooled_spread(values)
    out = np.empty((resamples, widths, depths, rates))
    for w, d in np.ndindex(widths, depths):
        here = np.flatnonzero(present[w, d].any(-1))
        n = len(here)
        if n < 2:
            noise = generator.standard_normal((resamples, 1)) * spread
            out[:, w, d] = centre[w, d] + noise
            continue
        counts = generator.standard_exponential((resamples, n))  # smooth where multinomial counts jump
        weight = counts @ present[w, d, here].astype(np.float64)
        total = counts @ filled[w, d, here]
        shift = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), 0.0)
        out[:, w, d] = centre[w, d] + shift * np.sqrt((n + 1.0) / (n - 1.0))
    return out


def _pooled_spread(values: Array) -> float:
    """Standard deviation over seeds, pooled over groups with at least two; 0 where there is none."""
    centred = values - means_over_seeds(values)[:, :, None, :]
    count = np.isfinite(values).sum(2)
    degrees = np.maximum(count - 1, 0).sum()
    return float(np.sqrt(np.nansum(centred**2) / degrees)) if degrees else 0.0


def bootstrap(
    values: Array,
    estimator: Estimator,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    heavy_tails: bool = False,
) -> Estimate:
    """Estimate ± t·SE: the standard error from the bootstrap over seeds, t for the seeds there are.

    The percentile interval of 5–8 seeds is too short by construction; Student's t with Welch and
    Satterthwaite's effective degrees of freedom puts back what the estimated variance costs. Where no
    (width, depth) has two seeds, or all of them agree, there is no spread and no interval: its ends are NaN.

    Args:
        values: shape (width, depth, seed, rate); NaN where a cell is missing.
        estimator: maps means (…, width, depth, rate) to estimates (…), vectorised over leading axes.
        resamples: most bootstrap samples; fewer where there are many seeds.
        seed: of the generator.
        heavy_tails: whether a group's few seeds may all miss its outliers: then the interval is no shorter
            than one by the spread of all groups together.

    Returns:
        The estimate and its 95 % interval, NaN where seeds show no spread.

    Source: Student's t with Welch–Satterthwaite degrees of freedom; calibration in the tests.

    >>> noise = np.random.default_rng(1).normal(size=(1, 1, 8, 1))
    >>> mean = bootstrap(noise, lambda means: means[..., 0, 0, 0])
    >>> round(mean.degrees), bool(mean.low < 0 < mean.high)
    (7, True)
    """
    centre = means_over_seeds(values)
    value = float(estimator(centre))
    if not _pooled_spread(values) > AGREE * (1.0 + float(np.nanmax(np.abs(values), initial=0.0))):
        return Estimate(value, *(float("nan"),) * 3, 0.0)
    resamples = min(resamples, max(FEWEST_RESAMPLES, WEIGHTS // values.shape[2]))
    samples = estimator(resampled_means(values, resamples=resamples, seed=seed))
    samples = samples[np.isfinite(samples)]
    error = float(np.sqrt(np.mean((samples - value) ** 2))) if len(samples) else np.nan
    lever = _levers(values, centre, estimator)
    degrees = _effective_degrees(values, centre, lever)
    half = float(stats.t.ppf(0.975, degrees)) * error
    if heavy_tails:
        together, all_degrees = _error_together(values, centre, lever)
        longer = float(stats.t.ppf(0.975, all_degrees)) * together
        if longer > half:
            error, degrees, half = together, all_degrees, longer
    return Estimate(value, error, value - half, value + half, degrees)


def _levers(values: Array, centre: Array, estimator: Estimator) -> Array:
    """What a unit of one seed's value adds to the estimate, linearised, shape (width, depth, rate)."""
    widths, depths, _, rates = values.shape
    step = 1e-4 * (_pooled_spread(values) + 1e-12)
    nudges = np.eye(centre.size).reshape(-1, widths, depths, rates) * step
    nudged = np.where(np.isfinite(centre), centre + nudges, np.nan)
    gradient = ((estimator(nudged) - estimator(centre)) / step).reshape(widths, depths, rates)
    return np.asarray(gradient / np.maximum(np.isfinite(values).sum(2), 1))


def _error_together(values: Array, centre: Array, lever: Array) -> tuple[float, float]:
    """Standard error by one covariance over learning rates for all groups, and its degrees of freedom."""
    there = np.isfinite(values)
    left = np.where(there, values - centre[:, :, None, :], 0.0)
    both = np.einsum("wdsr,wdsq->wdrq", *2 * (there.astype(np.float64),))
    degrees = np.maximum(both - 1.0, 0.0).sum((0, 1))
    covariance = np.einsum("wdsr,wdsq->rq", left, left) / np.maximum(degrees, 1.0)
    variance = float(np.einsum("wdr,rq,wdq,wdrq->", lever, covariance, lever, both))
    seeds = there.any(-1).sum(2)
    return float(np.sqrt(max(variance, 0.0))), float(max(np.maximum(seeds - 1, 0).sum(), 1))


def _effective_degrees(values: Array, centre: Array, lever: Array) -> float:
    """Welch–Satterthwaite degrees of freedom, with the estimator linearised about the means."""
    share = np.where(np.isfinite(values), values - centre[:, :, None, :], 0.0)
    share = (share * lever[:, :, None, :]).sum(-1)
    seeds = np.isfinite(values).any(-1).sum(2)
    variance = np.where(seeds > 1, (share**2).sum(2) * seeds / np.maximum(seeds - 1, 1), 0.0)
    total = (variance**2 / np.maximum(seeds - 1, 1)).sum()
    return float(np.clip(variance.sum() ** 2 / total, 1.0, 1e6)) if total > 0 else 2.0


def power_law(log_x: Array, weight: Array) -> Estimator:
    """Exponent of y = A·x^slope with one amplitude per (depth, rate): weighted least squares in the logs.

    Args:
        log_x: log of x, shape (width, depth, rate) or what broadcasts to it.
        weight: of each mean, such as its number of seeds, shape (width, depth, rate); 0 leaves it out.

    Returns:
        An estimator of the slope from log means (…, width, depth, rate).

    Source: weighted least squares.

    >>> x = np.log([[[1.0]], [[2.0]], [[4.0]]])
    >>> float(power_law(x, np.ones((3, 1, 1)))(-0.5 * x))
    -0.5
    """
    log_x = np.broadcast_to(log_x, weight.shape)
    centred = log_x - _centre(log_x, weight)
    norm = float((weight * centred**2).sum())
    coefficient = weight * centred / norm if norm > 0 else np.full(weight.shape, np.nan)
    used = weight > 0

    def slope(means: Array) -> Array:
        return np.asarray((np.where(used, means, 0.0) * coefficient).sum((-3, -2, -1)))

    return slope


def corrected_power_law(log_x: Array, correction: Array, weight: Array) -> Estimator:
    """As `power_law`, with a finite-size correction c·correction of free size, shared by all groups.

    log y = log A + slope·log x + c·correction, so m^slope (1 + c/√m) for correction = m^−½.

    >>> m = np.array([16.0, 64, 256, 1024]).reshape(-1, 1, 1)
    >>> law = corrected_power_law(np.log(m), m**-0.5, np.ones(m.shape))
    >>> round(float(law(-0.5 * np.log(m) + 2 * m**-0.5)), 10)
    -0.5
    """
    columns = [np.broadcast_to(c, weight.shape) for c in (log_x, correction)]
    used = weight > 0
    design = np.stack([((c - _centre(c, weight)) * np.sqrt(weight))[used] for c in columns], axis=1)
    inverse = np.linalg.pinv(design) if used.any() else np.full((2, 0), np.nan)

    def slope(means: Array) -> Array:
        y = (means - _centre(np.where(used, means, 0.0), weight)) * np.sqrt(weight)
        return np.asarray(y[..., used] @ inverse[0])

    return slope


def r_squared(log_x: Array, log_y: Array, weight: Array) -> float:
    """R² of the power law, within groups.

    >>> x = np.log([[[1.0]], [[2.0]], [[4.0]]])
    >>> r_squared(x, 2 * x, np.ones((3, 1, 1)))
    1.0
    """
    used = weight > 0
    y = np.where(used, log_y, 0.0)
    x = np.broadcast_to(log_x, weight.shape)
    dx, dy = x - _centre(x, weight), y - _centre(y, weight)
    sxx, syy = float((weight * dx**2).sum()), float((weight * dy**2).sum())
    if sxx <= 0:
        return float("nan")
    slope = float((weight * dx * dy).sum()) / sxx
    left = float((weight * (dy - slope * dx) ** 2).sum())
    return 1.0 - left / syy if syy > 0 else 1.0


def _centre(values: Array, weight: Array) -> Array:
    """Weighted mean over widths, kept as an axis of one."""
    total = np.maximum(weight.sum(-3, keepdims=True), 1e-300)
    return np.asarray((weight * values).sum(-3, keepdims=True) / total)
