"""What a law's interval would be with other numbers of seeds: its own estimator, before the data exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from widesweep.analysis.refine.spread import SEED, Future

Array = NDArray[np.float64]
REACH = 1.96  # of a half-width, in standard errors


class LawForecast(Protocol):
    """A law whose interval can be forecast."""

    @property
    def name(self) -> str:
        """The law's name."""

    @property
    def now(self) -> float:
        """Its interval's half-width as measured."""

    def half_width(self, seeds: Array) -> Array:
        """Half of the 95 % interval with so many seeds (…, width, depth, rate); shape (…)."""

    def slack(self, seeds: Array) -> Array:
        """What finite size leaves open in the slope with these seeds, (…, width, depth, rate) → (…)."""

    def possible_half_widths(self, seeds: Array) -> Array:
        """Half-widths that the next analysis may measure, seeds (width, depth, rate) → (draws,)."""


@dataclass(frozen=True)
class PowerLawForecast:
    """The slope of log y on log x, weighted by numbers of seeds.

    slope = Σ a ȳ with a = n x̃ / Σ n x̃², x̃ = log x less its weighted mean. Seeds are nested, so means at two
    learning rates share min(n, n′) seeds: Var = Σ σ²(m, L) ρ_rr′ a_r a_r′ / max(n_r, n_r′), and the interval
    is ± t √Var with Welch and Satterthwaite's degrees of freedom.

    A law of the width has an amplitude per (depth, rate). For a law with `own_x` every (width, depth) is a
    point on one line: all pairs lie along its axis of widths, at one depth. Networks of a pair differ in x.
    More of them move its mean, and what a network's own x explains is taken off with the slope as fitted, so
    a slope that is off by δ leaves δ² Var(x) in the spread. Its tails are heavy: its interval is no shorter
    than by one spread of all pairs together.

    Attributes:
        name: the law's name.
        now: half-width of its interval as measured.
        log_x: log width, or log x of each pair, shape (width,).
        variance: of one seed's value, shape (width, depth).
        share: of finished cells that give a value, shape (width, depth).
        correlation: between learning rates, shape (rate, rate).
        used: which depths the law is fitted on, shape (depth,).
        bend: log of the finite-size factor that theory allows, shape (width,).
        future: variances that the next analysis may find.
        own_x: variance of log x between networks of one pair; None: x is the width.
    """

    name: str
    now: float
    log_x: Array
    variance: Array
    share: Array
    correlation: Array
    used: NDArray[np.bool_]
    bend: Array
    future: Future
    own_x: float | None = None

    def half_width(self, seeds: Array) -> Array:
        """Half of the 95 % interval; infinite where no two x have seeds."""
        return self._half_width(self._points(seeds), self.variance, self.log_x)

    def possible_half_widths(self, seeds: Array) -> Array:
        """Half-widths that the next analysis may measure, (draws,): by the variances that it may find."""
        points = self._points(seeds)
        count = points.max(-1) * self.share
        seen = self.future.seen(count)
        if self.own_x is None:
            return self._half_width(points, seen, self.log_x)
        generator, degrees = np.random.default_rng(SEED), self.future.degrees
        there = np.where(degrees > 0, degrees + 1.0, 0.5)  # theory's x: as off as two
        moved = np.maximum(1.0 / there - 1.0 / np.maximum(count, 1.0), 0.0)[:, 0]
        x = self.log_x + np.sqrt(self.own_x * moved) * generator.standard_normal((len(seen), len(moved)))
        first = self._half_width(points, seen, x)
        off = np.where(np.isfinite(first), first, 0.0) / REACH * generator.standard_normal(len(first))
        return self._half_width(points, seen + self.own_x * (off**2)[:, None, None], x)

    def _points(self, seeds: Array) -> Array:
        """Seeds (…, width, depth, rate) as the law sees them."""
        return seeds if self.own_x is None else seeds.reshape(*seeds.shape[:-3], -1, 1, seeds.shape[-1])

    def _half_width(self, seeds: Array, variance: Array, log_x: Array) -> Array:
        """With other variances (…, width, depth) and log x (…, width)."""
        weight = seeds * (self.share * self.used)[..., None]
        centred, norm = self._design(weight, log_x)
        norm = np.where(norm > 0, norm, np.nan)
        lever = centred / norm[..., None, None, None]
        both = np.minimum(
            weight[..., :, None], weight[..., None, :]
        )  # a_r a_r′ / max(n_r, n_r′) = x̃x̃′ min/S²
        pairs = lever[..., :, None] * lever[..., None, :] * both * self.correlation
        unit = pairs.sum((-1, -2))
        each = unit * variance
        total = each.sum((-1, -2))
        most = weight.max(-1)
        degrees = np.maximum(most - 1.0, 1.0)
        effective = total**2 / np.maximum((each**2 / degrees).sum((-1, -2)), 1e-300)
        half = special.stdtrit(np.clip(effective, 1.0, 1e6), 0.975) * np.sqrt(total)
        if self.own_x is not None:
            free = np.maximum(most - 1.0, 0.0)
            all_free = np.maximum(free.sum((-1, -2)), 1.0)
            together = (free * variance).sum((-1, -2)) / all_free * unit.sum((-1, -2))
            half = np.maximum(half, special.stdtrit(all_free, 0.975) * np.sqrt(together))
        return np.asarray(np.where(np.isfinite(half), half, np.inf))

    def slack(self, seeds: Array) -> Array:
        """By how much the finite-size factor shifts the slope, |Σ a log f|."""
        weight = self._points(seeds) * (self.share * self.used)[..., None]
        centred, norm = self._design(weight, self.log_x)
        shift = (weight * centred * self.bend[:, None, None]).sum((-1, -2, -3))
        return np.asarray(np.abs(shift / np.where(norm > 0, norm, np.nan)))

    @staticmethod
    def _design(weight: Array, log_x: Array) -> tuple[Array, Array]:
        """x̃, shape (…, width, depth, rate), and Σ n x̃², shape (…)."""
        x = log_x[..., :, None, None]
        total = np.maximum(weight.sum(-3, keepdims=True), 1e-300)
        centred = x - (weight * x).sum(-3, keepdims=True) / total
        return centred, (weight * centred**2).sum((-1, -2, -3))


@dataclass(frozen=True)
class LimitForecast:
    """The limit at infinite width by `Extrapolation`, with the systematic error that more seeds do not lower.

    Attributes:
        name: the law's name.
        now: half-width of its interval as measured.
        variance: of one seed's value, averaged over learning rates, shape (width, depth).
        share: of cells with a fit window, shape (width, depth).
        row: of seeds (width, depth): the weight of each mean in the limit, (width, depth), and `systematic`.
        shared: standard error that all cells share.
        future: variances that the next analysis may find.
    """

    name: str
    now: float
    variance: Array
    share: Array
    row: Callable[[Array], tuple[Array, float]]
    shared: float
    future: Future

    def half_width(self, seeds: Array) -> Array:
        """Half of the 95 % interval, the shared errors in quadrature."""
        counts = seeds.max(-1) * self.share
        found = [self._half_width(each, self.variance) for each in counts.reshape(-1, *counts.shape[-2:])]
        return np.array(found).reshape(counts.shape[:-2])

    def slack(self, seeds: Array) -> Array:
        """None: finite size is part of the interval."""
        return np.zeros(seeds.shape[:-3])

    def floor(self, seeds: Array) -> float:
        """Half-width with endless seeds at these pairs: what the prior and the windows leave open."""
        return float(self.half_width(np.where(seeds > 0, 1e9, 0.0)))

    def possible_half_widths(self, seeds: Array) -> Array:
        """Half-widths that the next analysis may measure, seeds (width, depth, rate) → (draws,)."""
        count = seeds.max(-1) * self.share
        return self._half_width(count, self.future.seen(count))

    def _half_width(self, count: Array, variance: Array) -> Array:
        """Of values that count (width, depth), their variances (…, width, depth) → (…)."""
        row, systematic = self.row(count)
        if not np.isfinite(systematic):
            return np.full(variance.shape[:-2], np.inf)
        each = np.where(count > 0, row**2 * variance / np.maximum(count, 1e-300), 0.0)
        total = each.sum((-1, -2))
        spread = (each**2 / np.maximum(count - 1.0, 1.0)).sum((-1, -2))
        degrees = np.where(spread > 0, np.clip(total**2 / np.maximum(spread, 1e-300), 1.0, 1e6), 2.0)
        half = special.stdtrit(degrees, 0.975) * np.sqrt(total)
        return np.asarray(np.hypot(half, 1.96 * np.hypot(self.shared, systematic)))
