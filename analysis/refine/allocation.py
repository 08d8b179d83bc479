"""The design: how many seeds, and where, reach given intervals at the least cost, or shrink them most."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast
from widesweep.analysis.refine.predictive_interval import PredictiveInterval

Array = NDArray[np.float64]

FEWEST_NEW = 4  # seeds of a width or depth that was not there: fewer say nothing of their own spread
SLACK_GROWTH = 1.25  # cheap widths are narrow ones: what finite size leaves open may grow by this factor
GROWTH = 20  # a step adds one seed, or one for each so many that a pair has
MOST_SEEDS = 1e6
FURTHEST = 1e6  # half-width that stands for none
SHARPNESS = 30.0  # of the smooth minimum over laws: one that is a tenth further ahead counts e^-3


@dataclass(frozen=True)
class Allocation:
    """Seeds to add.

    Attributes:
        added: number of seeds, whole, shape (width, depth).
        rates: learning rates at which they train, mask of shape (rate,).
        cost_s: forecast seconds.
        half_widths: forecast half-width of each law, in the order asked.
        reached: share of the way to the goals, in the logs; 1: all are met by the forecast.
        predicted: what the next analysis may measure of each law then; none before it is asked for.
    """

    added: NDArray[np.int64]
    rates: NDArray[np.bool_]
    cost_s: float
    half_widths: tuple[float, ...]
    reached: float
    predicted: tuple[PredictiveInterval, ...] = ()


def allocate(
    laws: Sequence[LawForecast],
    candidates: Candidates,
    goals: Sequence[float],
    budget_s: float | None = None,
) -> Allocation | None:
    """The cheapest seeds that bring every law's half-width to its goal; with a budget, as near as it allows.

    A cost-weighted c-optimal design, built seed by seed: each goes where it shortens the intervals most per
    second. Once for each learning rate alone and once for all together. The law that is furthest from its
    goal, in the logs, counts most, so that a budget which does not suffice brings all laws the same share of
    their way.

    Args:
        laws: forecasts of the laws to tighten.
        candidates: where seeds may go, and what they cost.
        goals: half-widths wanted, one for each law.
        budget_s: most seconds to spend; None: whatever the goals cost.

    Returns:
        The allocation; None where no allowed one brings the laws nearer.

    Source: Elfving 1952 (c-optimality); Wynn 1970 (sequential designs).
    """
    rates = len(candidates.rates)
    masks = [np.arange(rates) == r for r in range(rates)] + (
        [np.ones(rates, dtype=bool)] if rates > 1 else []
    )
    designs = [_Design(tuple(laws), candidates, tuple(goals), mask) for mask in masks]
    found = [each for each in (design.built(budget_s) for design in designs) if each is not None]
    if budget_s is None:
        return min(found, key=lambda each: each.cost_s, default=None)
    return max(found, key=lambda each: each.reached, default=None)


def share_of(
    step: Allocation, share: float, laws: Sequence[LawForecast], candidates: Candidates
) -> Allocation:
    """The same design with that share of its seeds, rounded up; a new width or depth keeps a few."""
    whole = np.ceil(share * step.added)
    new = candidates.seeds.max(-1) == 0
    whole[new] = np.maximum(whole, np.minimum(step.added, FEWEST_NEW))[new]
    counts = candidates.counts(whole, step.rates)
    halves = tuple(float(law.half_width(counts)) for law in laws)
    cost_s = candidates.cost_s(whole, step.rates)
    return replace(
        step, added=whole.astype(np.int64), cost_s=cost_s, half_widths=halves, reached=share * step.reached
    )


@dataclass(frozen=True)
class _Design:
    """Seeds that train at some learning rates, and how far they bring laws towards their goals."""

    laws: tuple[LawForecast, ...]
    candidates: Candidates
    goals: tuple[float, ...]
    rates: NDArray[np.bool_]

    def built(self, budget_s: float | None) -> Allocation | None:
        """Steps until the goals are met or the budget is spent; None where neither gets anywhere."""
        added, reached = np.zeros(self.candidates.allowed.shape), False
        while not reached and (step := self._best_step(added, budget_s)) is not None:
            added = added + step
            reached = budget_s is None and self._met(added)
        if not (reached or (budget_s is not None and added.any())):
            return None
        return self._allocation(self._trimmed(added) if reached else added)

    def _best_step(self, added: Array, budget_s: float | None) -> Array | None:
        """The seeds that bring the laws nearest per second, of those that are allowed."""
        there = self.candidates.seeds.max(-1) + added
        step = np.where(there == 0, FEWEST_NEW, np.maximum(1.0, np.floor(there / GROWTH)))
        open_ = self.candidates.allowed & (there.sum() < MOST_SEEDS)
        if budget_s is not None:
            left = np.floor((budget_s - self.candidates.cost_s(added, self.rates)) / self._price)
            open_ &= left >= np.where(there == 0, FEWEST_NEW, 1.0)
            step = np.minimum(step, left)
        places = np.argwhere(open_)
        more = np.zeros((len(places), *added.shape))
        more[np.arange(len(places)), *places.T] = step[open_]
        worth = (self._nearness(added + more) - self._nearness(added)) / (step * self._price)[open_]
        worth = np.where(self._unbiased(added, more), worth, -np.inf)
        return more[int(np.argmax(worth))] if (worth > 0).any() else None

    def _unbiased(self, added: Array, more: Array) -> NDArray[np.bool_]:
        """Whether what finite size leaves open in each slope falls, or has grown by a quarter at most."""
        good = np.ones(len(more), dtype=bool)
        for law in self.laws:
            first, now, after = (
                law.slack(self.candidates.counts(each, self.rates))
                for each in (0.0 * added, added, added + more)
            )
            good &= ~(after > np.maximum(SLACK_GROWTH * first, now))
        return good

    def _trimmed(self, added: Array) -> Array:
        """Without seeds that the goals do not need: earlier steps foresaw less than later ones brought."""
        for w, d in sorted(np.argwhere(added > 0).tolist(), key=lambda each: -self._price[*each]):
            low, high = -1.0, float(added[w, d])  # the goals are met with `high`
            while high - low > 1.0:
                middle = np.floor((low + high) / 2.0)
                less = added.copy()
                less[w, d] = middle
                low, high = (low, middle) if self._met(less) else (middle, high)
            added[w, d] = high
        return added

    def _allocation(self, added: Array) -> Allocation:
        counts = self.candidates.counts(added, self.rates)
        halves = tuple(float(law.half_width(counts)) for law in self.laws)
        cost_s = self.candidates.cost_s(added, self.rates)
        return Allocation(
            added.astype(np.int64), self.rates, cost_s, halves, float(self._shares(added).min())
        )

    def _met(self, added: Array) -> bool:
        return bool(self._shares(added).min() >= 1.0 - 1e-9)

    def _nearness(self, added: Array) -> Array:
        """A smooth minimum over laws of the share of the way to the goal; (…, width, depth) → (…)."""
        shares = np.minimum(self._shares(added), 1.0)
        return np.asarray(-np.log(np.exp(-SHARPNESS * shares).mean(-1)) / SHARPNESS)

    def _shares(self, added: Array) -> Array:
        """Of the way to its goal that each law has come, in the logs; (…, width, depth) → (…, laws)."""
        goal = np.minimum(np.log(self.goals), self._now - 1e-6)
        return np.asarray((self._now - self._logs(added)) / (self._now - goal))

    def _logs(self, added: Array) -> Array:
        """log half-width of each law, (…, laws)."""
        counts = self.candidates.counts(added, self.rates)
        return np.log(np.minimum(np.stack([law.half_width(counts) for law in self.laws], axis=-1), FURTHEST))

    @functools.cached_property
    def _now(self) -> Array:
        return self._logs(np.zeros(self.candidates.allowed.shape))

    @functools.cached_property
    def _price(self) -> Array:
        return np.maximum(self.candidates.unit_s(self.rates), 1e-12)
