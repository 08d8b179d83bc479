"""The spread between seeds of each (width, depth), from few seeds, without believing too much of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from widesweep.analysis.fitting.fit import means_over_seeds

Array = NDArray[np.float64]

DRAWS, PROPOSALS = 400, 6000
SEED = 20_040_212
STEEPEST = 0.5  # prior standard deviation of the exponent of the variance in m
SCATTER = 0.25  # prior scale of the scatter of log variances about their line
MOST_SCATTER = 1.5
SURE = 1e-3  # scatter below which all groups lie on the line
WIDER = 1.3  # proposals scatter more than the normal posterior that they come from


@dataclass(frozen=True)
class Future:
    """Variances that the next analysis may find at each place after more seeds, given those there.

    Attributes:
        true: σ² of one seed's value, drawn from what is known, shape (draws, width, depth).
        own: s² of the seeds there, 0 where none are, shape (width, depth).
        degrees: its effective degrees of freedom, shape (width, depth).
        excess: kurtosis of a seed's value beyond the normal one.
    """

    true: Array
    own: Array
    degrees: Array
    excess: float = 0.0

    def seen(self, count: Array) -> Array:
        """s² of `count` seeds (width, depth), those there among them: (ν s² + σ² χ²_k)/(ν + k)."""
        more = np.maximum(effective_degrees(count - 1.0, self.excess) - self.degrees, 0.0)
        generator = np.random.default_rng(SEED)
        new = 2.0 * generator.standard_gamma(np.broadcast_to(more / 2.0, self.true.shape))
        total = np.maximum(self.degrees + more, 1e-300)
        return np.where(
            self.degrees + more > 0, (self.degrees * self.own + self.true * new) / total, self.true
        )

    def flat(self) -> Future:
        """The same with all pairs along one axis, at one depth."""
        shape = (self.own.size, 1)
        own, degrees = self.own.reshape(shape), self.degrees.reshape(shape)
        return Future(self.true.reshape(-1, *shape), own, degrees, self.excess)


@dataclass(frozen=True)
class Spread:
    """Covariance of one seed's values over learning rates, by width and depth: variance · correlation.

    Attributes:
        correlation: over learning rates, pooled over groups, shape (rate, rate).
        intercept: of log s₀² = intercept + trend · log m, drawn from what is known, shape (draws,).
        trend: the same line's slope, shape (draws,).
        prior_degrees: how many degrees of freedom the line is worth beside a group's own variance, (draws,).
        own: a group's own variance, NaN where fewer than two seeds are, shape (width, depth).
        degrees: effective degrees of freedom of `own`, shape (width, depth).
        excess: kurtosis of a seed's value beyond the normal one.
        widths: m, shape (width,).
        depths: L, shape (depth,).
    """

    correlation: Array
    intercept: Array
    trend: Array
    prior_degrees: Array
    own: Array
    degrees: Array
    excess: float
    widths: Array
    depths: Array

    @property
    def averaged(self) -> float:
        """Variance of a seed's mean over learning rates, in units of its variance at one."""
        return float(self.correlation.mean())

    def variance(self, widths: Array, depths: Array) -> Array:
        """Variance of one seed's value at any widths and depths, shape (width, depth).

        A group that has been measured has σ² ~ (ν₀ s₀² + ν s²)/χ²_{ν₀+ν}, s₀² by the line; any other
        ν₀ s₀²/χ²_{ν₀}. Of that (E σ)², as if log σ were normal: what is not known well counts as larger.
        """
        square, degrees = self._squares(widths, depths)
        half = degrees / 2.0
        log = np.log(square / 2.0) - special.digamma(half)
        doubt = special.polygamma(1, half).mean(0) + log.var(0)
        return np.asarray(np.exp(log.mean(0) + doubt / 4.0))

    def future(self, widths: Array, depths: Array) -> Future:
        """Variances that the next analysis may find at these widths and depths."""
        square, degrees = self._squares(widths, depths)
        generator = np.random.default_rng(SEED)
        true = square / np.maximum(2.0 * generator.standard_gamma(degrees / 2.0), 1e-300)
        own, there = self._there(widths, depths)
        return Future(true, own, there, self.excess)

    def _squares(self, widths: Array, depths: Array) -> tuple[Array, Array]:
        """ν₀ s₀² + ν s² and ν₀ + ν, shape (draws, width, depth)."""
        log_m = np.log(np.asarray(widths, dtype=np.float64))
        line = np.exp(self.intercept[:, None] + self.trend[:, None] * log_m)[:, :, None]
        prior, (own, there) = self.prior_degrees[:, None, None], self._there(widths, depths)
        return prior * line + there * own, np.broadcast_to(prior + there, (len(prior), *there.shape))

    def _there(self, widths: Array, depths: Array) -> tuple[Array, Array]:
        """s² and ν of groups that have been measured, 0 elsewhere, shape (width, depth)."""
        own, degrees = np.zeros((2, len(widths), len(depths)))
        for i, j in np.ndindex(own.shape):
            w, d = np.flatnonzero(self.widths == widths[i]), np.flatnonzero(self.depths == depths[j])
            if len(w) and len(d) and self.degrees[w[0], d[0]] > 0:
                own[i, j], degrees[i, j] = self.own[w[0], d[0]], self.degrees[w[0], d[0]]
        return own, degrees


def effective_degrees(degrees: Array, excess: float) -> Array:
    """Of s² from ν + 1 values: Var s²/σ⁴ = 2/ν + κ/(ν + 1), as if it were 2/ν_eff.

    Args:
        degrees: ν, any shape; below 0 nothing is there.
        excess: κ ≥ 0, the values' kurtosis beyond the normal one.

    Source: the variance of a sample variance, Kenney and Keeping 1951.

    >>> effective_degrees(np.array([4.0, 99.0]), 0.0), effective_degrees(np.array([4.0, 99.0]), 10.0).round(2)
    (array([ 4., 99.]), array([ 0.8 , 16.64]))
    """
    nu = np.maximum(np.asarray(degrees, dtype=np.float64), 0.0)
    return nu / (1.0 + 0.5 * excess * nu / (nu + 1.0))


def estimate(
    values: Array, widths: Array, depths: Array, scatter: float = SCATTER, excess: float = 0.0
) -> Spread | None:
    """Squeezed variances over seeds: a line log s₀² = a + b log m, about which groups scatter.

    s²/σ² is χ²_ν/ν and σ² itself scatters about the line like s₀² ν₀/χ²_{ν₀}, so s² ~ s₀² F(ν, ν₀). What is
    known of a, b and ν₀ is their posterior: a flat, b normal, √(2/ν₀) half-Cauchy, so that few groups neither
    tell a steep trend nor a large scatter by themselves. Drawn by sampling and importance resampling from
    the normal posterior of the line for each ν₀.

    Args:
        values: shape (width, depth, seed, rate), in the logs; NaN where a cell is missing.
        widths: m, shape (width,).
        depths: L, shape (depth,).
        scatter: prior scale of the scatter of log variances about their line, √(2/ν₀).
        excess: kurtosis of a seed's value beyond the normal one: with heavy tails a variance tells less.

    Returns:
        The spread; None where no group has two seeds or all seeds agree.

    Source: Smyth 2004, Linear models and empirical Bayes methods (the model of variances); Gelman 2006,
    Prior distributions for variance parameters (half-Cauchy); Rubin 1987 (importance resampling).

    >>> noise = 0.3 * np.random.default_rng(0).normal(size=(6, 4, 9, 1))
    >>> found = estimate(noise, 2.0 ** np.arange(6, 12), np.arange(1.0, 5.0))
    >>> bool(np.median(found.prior_degrees) > 50), found.variance(np.array([64.0]), np.array([1.0])).round(1)
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
    log_m = np.broadcast_to(np.log(np.asarray(widths, dtype=np.float64))[:, None], own.shape)[usable]
    degrees = effective_degrees(degrees, excess)
    line = _posterior(np.log(own[usable]), degrees[usable], log_m, scatter)
    return Spread(
        _correlation(centred), *line, np.where(usable, own, np.nan), np.where(usable, degrees, 0.0), excess,
        np.asarray(widths, dtype=np.float64), np.asarray(depths, dtype=np.float64),
    )  # fmt: skip


def _posterior(log_s: Array, nu: Array, log_m: Array, scale: float) -> tuple[Array, Array, Array]:
    """Draws of intercept, trend and ν₀, each of shape (draws,)."""
    generator = np.random.default_rng(SEED)
    scatter = np.clip(np.abs(scale * generator.standard_cauchy(PROPOSALS)), SURE, MOST_SCATTER)
    prior = 2.0 / scatter**2
    centre = float(log_m.mean())
    x = np.stack([np.ones(len(log_m)), log_m - centre], axis=1)
    offset = _log_bias(nu) - _log_bias(prior)[:, None]  # of E log s² from log s₀², (proposals, groups)
    noise = special.polygamma(1, nu / 2.0) + special.polygamma(1, prior / 2.0)[:, None]
    precision = np.einsum("gi,pg,gj->pij", x, 1.0 / noise, x) + np.diag([0.0, STEEPEST**-2])
    mean = np.linalg.solve(precision, np.einsum("gi,pg->pi", x, (log_s - offset) / noise)[..., None])[..., 0]
    root = np.linalg.cholesky(np.linalg.inv(precision))
    unit = generator.standard_normal((PROPOSALS, 2))
    line = mean + WIDER * np.einsum("pij,pj->pi", root, unit)
    proposal = -0.5 * (unit**2).sum(1) - np.log(np.abs(root[:, 0, 0] * root[:, 1, 1]))
    log_ratio = log_s - line @ x.T
    weight = _log_f(log_ratio, nu, prior[:, None]).sum(1) - 0.5 * (line[:, 1] / STEEPEST) ** 2 - proposal
    share = np.cumsum(np.exp(weight - weight.max()))
    kept = np.searchsorted(share / share[-1], (np.arange(DRAWS) + 0.5) / DRAWS)
    intercept, trend = (line - np.outer(line[:, 1], [centre, 0.0]))[kept].T
    return intercept, trend, prior[kept]


def _log_bias(nu: Array) -> Array:
    """E log(χ²_ν/ν)."""
    return np.asarray(special.digamma(nu / 2.0) - np.log(nu / 2.0))


def _log_f(log_ratio: Array, nu: Array, prior: Array) -> Array:
    """log density of log F(ν, ν₀), but for a term in ν alone."""
    both = (nu + prior) / 2.0
    scale = special.gammaln(both) - special.gammaln(prior / 2.0) - nu / 2.0 * np.log(prior)
    return np.asarray(scale + nu / 2.0 * log_ratio - both * np.log1p(np.exp(log_ratio) * nu / prior))


def _correlation(centred: Array) -> Array:
    """Over learning rates, pooled over groups; scaled so that the mean variance is 1."""
    rates = centred.shape[3]
    flat = centred.reshape(-1, rates)
    flat = flat[np.isfinite(flat).all(1)]
    if not len(flat) or rates == 1:
        return np.eye(rates) if rates > 1 else np.ones((1, 1))
    product = flat.T @ flat
    return np.asarray(product / (np.trace(product) / rates))
