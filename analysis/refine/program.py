"""The design as a non-linear program, handed to SciPy's sequential least squares."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast

Array = NDArray[np.float64]

SLACK_GROWTH = 1.25  # cheap widths are narrow ones: what finite size leaves open may grow by this factor
STARTS = 3
SEED = 9
MOST_SEEDS = 1e6
NUDGE = 1e-4
FEASIBLE = -1e-3
FURTHEST = 1e6  # half-width that stands for none


@dataclass(frozen=True)
class Program:
    """Minimise Σ cost · n over n ≥ 0, such that every law's half-width is at most its goal.

    log half-width_l(n) ≤ (1 − s) log half-width_l(0) + s log goal_l for every law, with s = 1 for the goals
    themselves; within a budget the largest s is sought instead. What finite size leaves open in the slope
    (`slack`) may grow by a quarter: without that, the cheapest and most biased widths would get everything.

    Attributes:
        laws: forecasts of the laws to tighten.
        candidates: where seeds may go, and what they cost.
        goals: half-widths wanted.
        rates: learning rates at which new seeds train, mask.

    Source: Kraft 1988 (SLSQP), as in scipy.optimize.
    """

    laws: tuple[LawForecast, ...]
    candidates: Candidates
    goals: tuple[float, ...]
    rates: NDArray[np.bool_]

    def met(self, added: Array) -> bool:
        """Whether seeds (width, depth) reach all goals."""
        return bool(self.progress(added) >= 1.0 - 1e-9)

    def progress(self, added: Array) -> Array:
        """Share of the way to its goal of the law that has come least far, in the logs; (…, w, d) → (…)."""
        logs = self._logs(self.candidates.counts(added, self.rates))
        now, goal = self._now, np.minimum(np.log(self.goals), self._now - 1e-6)
        return np.asarray(((now - logs) / (now - goal)).min(-1))

    def solve(self, budget_s: float | None) -> Array | None:
        """The best numbers of seeds of several starts, not whole, shape (width, depth); None: none exist."""
        if not self.candidates.allowed.any():
            return None
        found = [
            each for each in (self._solve(start, budget_s) for start in range(STARTS)) if each is not None
        ]
        if budget_s is None:
            return min(found, key=lambda added: self.candidates.cost_s(added, self.rates), default=None)
        return max(found, key=lambda added: float(self.progress(added)), default=None)

    def _solve(self, start: int, budget_s: float | None) -> Array | None:
        """One start; the variables are √n, and s last where there is a budget."""
        size, price = len(self._places), self._price
        scale = budget_s or float(price.mean()) * max(float(self.candidates.seeds.sum()), 1.0)
        first = self._first(start, budget_s)
        if budget_s is not None:
            first = np.append(first, max(float(self.progress(self._placed(first**2))), 0.0))

        def cost(x: Array) -> float:
            return float((price * x[:size] ** 2).sum() / scale) if budget_s is None else -float(x[size])

        def slope(x: Array) -> Array:
            return 2.0 * price * x / scale if budget_s is None else np.append(np.zeros(size), -1.0)

        def held(x: Array) -> Array:
            return self._held(x, budget_s)

        def jacobian(x: Array) -> Array:
            step = NUDGE * (1.0 + x)
            rows = held(np.concatenate([x[None], x[None] + np.diag(step)]))
            return np.asarray(((rows[1:] - rows[0]) / step[:, None]).T)

        bounds = [(0.0, np.sqrt(MOST_SEEDS))] * size + ([] if budget_s is None else [(0.0, 1.0)])
        result = optimize.minimize(
            cost, first, jac=slope, method="SLSQP", bounds=bounds,
            constraints=optimize.NonlinearConstraint(held, 0.0, np.inf, jac=jacobian),
            options={"maxiter": 300, "ftol": 1e-5},
        )  # fmt: skip
        x = np.asarray(result.x)
        good = np.isfinite(x).all() and bool((held(x) >= FEASIBLE).all())
        if not good:
            return None
        added = self._placed(x[:size] ** 2)
        return self._no_more_than_needed(added) if budget_s is None else added

    def _no_more_than_needed(self, added: Array) -> Array:
        """The same shares and as few seeds as reach the goals: a start may end in the interior."""
        low, high = 0.0, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (low, middle) if self.met(middle * added) else (middle, high)
        return high * added

    def _first(self, start: int, budget_s: float | None) -> Array:
        """Seeds as 1/√price, more or less, at random about that; a budget spent by half."""
        generator = np.random.default_rng([SEED, start])
        most = max(float(self.candidates.seeds.max()), 1.0)
        seeds = (
            most * np.sqrt(self._price.mean() / self._price) * generator.uniform(0.2, 2.0, len(self._price))
        )
        if budget_s is not None:
            seeds *= 0.5 * budget_s / float((self._price * seeds).sum())
        return np.asarray(np.sqrt(seeds))

    def _held(self, x: Array, budget_s: float | None) -> Array:
        """What must not be negative: laws' logs, their slack, the budget; (…, variables) → (…, rules)."""
        root = x[..., : len(self._places)]
        share = 1.0 if budget_s is None else x[..., -1:]
        counts = self.candidates.counts(self._placed(root**2), self.rates)
        goal = np.minimum(np.log(self.goals), self._now)
        rows = [self._now + share * (goal - self._now) - self._logs(counts)]
        for law, most in zip(self.laws, self._most_slack, strict=True):
            if most > 0:
                rows.append(((most - law.slack(counts)) / most)[..., None])
        if budget_s is not None:
            rows.append((1.0 - (self._price * root**2).sum(-1) / budget_s)[..., None])
        return np.concatenate(rows, axis=-1)

    def _logs(self, counts: Array) -> Array:
        """log half-width of each law, (…, laws)."""
        return np.log(np.minimum(np.stack([law.half_width(counts) for law in self.laws], axis=-1), FURTHEST))

    def _placed(self, values: Array) -> Array:
        """(…, places) → (…, width, depth)."""
        allowed = self.candidates.allowed
        out = np.zeros((*values.shape[:-1], allowed.size))
        out[..., self._places] = values
        return out.reshape(*values.shape[:-1], *allowed.shape)

    @functools.cached_property
    def _now(self) -> Array:
        return self._logs(self.candidates.seeds)

    @functools.cached_property
    def _places(self) -> NDArray[np.int64]:
        """Flat indices of the pairs that may get seeds."""
        return np.flatnonzero(self.candidates.allowed)

    @functools.cached_property
    def _price(self) -> Array:
        return np.maximum(self.candidates.unit_s(self.rates).ravel()[self._places], 1e-12)

    @functools.cached_property
    def _most_slack(self) -> list[float]:
        return [SLACK_GROWTH * float(law.slack(self.candidates.seeds)) for law in self.laws]
