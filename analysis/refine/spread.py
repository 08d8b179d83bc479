"""The spread between seeds of each (width, depth), from few seeds, without believing too much of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.fit import means_over_seeds

Array = NDArray[np.float64]

FEWEST_GROUPS = 4  # below, the trend in width is not fitted
MOST_PRIOR = 1e6  # degrees of freedom of a prior that all groups agree with


@dataclass(frozen=True)
class Spread:
    """Covariance of one seed's values over learning rates, by width and depth: variance · correlation.

    Attributes:
        correlation: over learning rates, pooled over groups, shape (rate, rate).
        intercept: of log variance = intercept + trend · log m.
        trend: the same line's slope.
        prior_degrees: how many degrees of freedom the line is worth beside a group's own variance.
        own: a group's own variance, NaN where fewer than two seeds are, shape (width, depth).
        degrees: degrees of freedom of `own`, shape (width, depth).
        widths: m, shape (width,).
        depths: L, shape (depth,).
    """

    correlation: Array
    intercept: float
    trend: float
    prior_degrees: float
    own: Array
    degrees: Array
    widths: Array
    depths: Array

    @property
    def averaged(self) -> float:
        """Variance of a seed's mean over learning rates, in units of its variance at one."""
        return float(self.correlation.mean())

    def variance(self, widths: Array, depths: Array) -> Array:
        """Variance of one seed's value at any widths and depths, shape (width, depth).

        A group that has been measured gets (ν₀ s₀² + ν s²)/(ν₀ + ν), s₀² by the line; any other s₀².
        """
        line = np.exp(self.intercept + self.trend * np.log(np.asarray(widths, dtype=np.float64)))
        found = np.repeat(line[:, None], len(depths), axis=1)
        for i, j in np.ndindex(found.shape):
            w, d = np.flatnonzero(self.widths == widths[i]), np.flatnonzero(self.depths == depths[j])
            if len(w) and len(d) and self.degrees[w[0], d[0]] > 0:
                own, degrees = self.own[w[0], d[0]], self.degrees[w[0], d[0]]
                total = self.prior_degrees + degrees
                found[i, j] = (self.prior_degrees * found[i, j] + degrees * own) / total
        return found


def estimate(values: Array, widths: Array, depths: Array) -> Spread | None:
    """Squeezed variances over seeds: empirical Bayes about a line log s² = a + b log m.

    s²/σ² is χ²_ν/ν and σ² itself scatters about the line like s₀² ν₀/χ²_{ν₀}. The line and ν₀ follow from
    the mean and the variance of log s² over groups, whose expectations are digammas and trigammas.

    Args:
        values: shape (width, depth, seed, rate), in the logs; NaN where a cell is missing.
        widths: m, shape (width,).
        depths: L, shape (depth,).

    Returns:
        The spread; None where no group has two seeds or all seeds agree.

    Source: Smyth 2004, Linear models and empirical Bayes methods, section 6.2 (fitting of ν₀ and s₀²).

    >>> noise = 0.3 * np.random.default_rng(0).normal(size=(6, 4, 9, 1))
    >>> found = estimate(noise, 2.0 ** np.arange(6, 12), np.arange(1.0, 5.0))
    >>> bool(found.prior_degrees > 50), found.variance(np.array([64.0]), np.array([1.0])).round(1)
    (True, array([[0.1]]))
    """
    centred = values - means_over_seeds(values)[:, :, None, :]
    degrees = np.maximum(np.isfinite(values).any(3).sum(2) - 1.0, 0.0)
    square, count = np.nansum(centred**2, axis=(2, 3)), np.isfinite(values).sum((2, 3))
    free = np.maximum(count - np.isfinite(values).any(2).sum(2), 1)
    own = np.where(degrees > 0, square / free, np.nan)
    usable = (degrees > 0) & (np.nan_to_num(own) > 0)
    if not usable.any():
        return None
    nu = degrees[usable]
    log_s = np.log(own[usable]) - special.digamma(nu / 2) + np.log(nu / 2)
    log_m = np.broadcast_to(np.log(np.asarray(widths, dtype=np.float64))[:, None], own.shape)[usable]
    noise = special.polygamma(1, nu / 2)
    trend, intercept, left = _line(log_m, log_s, 1.0 / noise)
    excess = left - float(np.mean(noise))
    prior = 2.0 * _inverse_trigamma(excess) if excess > 0 else MOST_PRIOR
    offset = special.digamma(prior / 2) - np.log(prior / 2)  # from E log σ² to log s₀²
    return Spread(
        _correlation(centred), intercept + float(offset), trend, min(prior, MOST_PRIOR),
        np.where(usable, own, np.nan), np.where(usable, degrees, 0.0),
        np.asarray(widths, dtype=np.float64), np.asarray(depths, dtype=np.float64),
    )  # fmt: skip


def _line(x: Array, y: Array, weight: Array) -> tuple[float, float, float]:
    """Slope, intercept and variance about the line; a constant where groups or widths are few."""
    total = weight.sum()
    mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
    sxx = float((weight * (x - mean_x) ** 2).sum())
    sloped = len(y) >= FEWEST_GROUPS and sxx > 0
    slope = float((weight * (x - mean_x) * (y - mean_y)).sum() / sxx) if sloped else 0.0
    left = y - mean_y - slope * (x - mean_x)
    free = len(y) - (2 if sloped else 1)
    return slope, float(mean_y - slope * mean_x), float((left**2).sum() / free) if free > 0 else 0.0


def _correlation(centred: Array) -> Array:
    """Over learning rates, pooled over groups; scaled so that the mean variance is 1."""
    rates = centred.shape[3]
    flat = centred.reshape(-1, rates)
    flat = flat[np.isfinite(flat).all(1)]
    if not len(flat) or rates == 1:
        return np.eye(rates) if rates > 1 else np.ones((1, 1))
    product = flat.T @ flat
    return np.asarray(product / (np.trace(product) / rates))


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0, by Newton's method on 1/trigamma, which is nearly linear and convex."""
    x = 0.5 + 1.0 / value
    for _ in range(50):
        found = float(special.polygamma(1, x))
        step = found * (1.0 - found / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
