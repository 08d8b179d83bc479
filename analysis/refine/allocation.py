"""The design: how many seeds, and where, reach given intervals at the least cost, or shrink them most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast
from widesweep.analysis.refine.predictive_interval import PredictiveInterval
from widesweep.analysis.refine.program import Program

Array = NDArray[np.float64]

FEWEST_NEW = 4  # seeds of a width or depth that was not there: fewer say nothing of their own spread
NEARLY_BEST = 0.8  # of the most that a second brings: among such groups the cheapest seed is taken
STEPS_UP = 200  # seeds are rounded up in so many steps at most, whatever their number


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

    A cost-weighted c-optimal design (`Program`), once for each learning rate alone and once for all together;
    then whole seeds. A budget that does not suffice goes to what brings all laws the same share of their way
    to their goals, in the logs.

    Args:
        laws: forecasts of the laws to tighten.
        candidates: where seeds may go, and what they cost.
        goals: half-widths wanted, one for each law.
        budget_s: most seconds to spend; None: whatever the goals cost.

    Returns:
        The allocation; None where no allowed one brings the laws nearer.

    Source: Elfving 1952 (c-optimality).
    """
    rates = len(candidates.rates)
    masks = [np.arange(rates) == r for r in range(rates)] + (
        [np.ones(rates, dtype=bool)] if rates > 1 else []
    )
    programs = [Program(tuple(laws), candidates, tuple(goals), mask) for mask in masks]
    if budget_s is None:
        found = [each for each in (_cheapest(p) for p in programs) if each is not None]
        return min(found, key=lambda each: each.cost_s, default=None)
    found = [each for each in (_nearest(p, budget_s) for p in programs) if each is not None]
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


def _cheapest(program: Program) -> Allocation | None:
    """Whole seeds that reach the goals; None where nothing does."""
    solution = program.solve(None)
    if solution is None:
        return None
    whole, open_ = _rounded_down(program, solution)
    for turn in range(STEPS_UP):
        if program.met(whole) or not open_.any():
            break
        step = 1.0 if turn < STEPS_UP / 2 else max(1.0, float(np.floor(whole.sum() / STEPS_UP)))
        whole = whole + _best_step(program, whole, open_, step)
    return _allocation(program, _trimmed(program, whole)) if program.met(whole) else None


def _trimmed(program: Program, whole: Array) -> Array:
    """Seeds that rounding added and the goals do not need are taken away, costliest first."""
    price = program.candidates.unit_s(program.rates)
    for place in sorted(np.argwhere(whole > 0).tolist(), key=lambda each: -price[each[0], each[1]]):
        for _ in range(STEPS_UP):
            less = whole.copy()
            less[place[0], place[1]] -= 1.0
            if less.min() < 0 or not program.met(less):
                break
            whole = less
    return whole


def _nearest(program: Program, budget_s: float) -> Allocation | None:
    """Whole seeds within a budget that come nearest to the goals; None where none are affordable."""
    solution = program.solve(budget_s)
    if solution is None:
        return None
    whole, open_ = _rounded_down(program, solution)
    candidates, rates = program.candidates, program.rates
    while candidates.cost_s(whole, rates) > budget_s and whole.any():  # new widths were rounded up
        whole[np.unravel_index(int(np.argmax(whole * candidates.unit_s(rates))), whole.shape)] -= 1
    for _ in range(STEPS_UP):
        left = budget_s - candidates.cost_s(whole, rates)
        affordable = open_ & (candidates.unit_s(rates) <= left)
        if not affordable.any():
            break
        whole = whole + _best_step(program, whole, affordable, 1.0)
    return _allocation(program, whole) if whole.any() else None


def _rounded_down(program: Program, solution: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Whole seeds, of a new width or depth a few or none, and where rounding up may add."""
    whole = np.floor(solution + 1e-6)
    new = program.candidates.seeds.max(-1) == 0
    few = new & (solution < FEWEST_NEW)
    whole[few] = np.where(solution[few] < FEWEST_NEW / 2, 0, FEWEST_NEW)
    return whole, program.candidates.allowed & ((whole > 0) | ~new)


def _best_step(program: Program, whole: Array, where: NDArray[np.bool_], step: float) -> Array:
    """The cheapest few seeds that are enough, else those that bring the worst law nearest per second."""
    places = np.argwhere(where)
    more = np.zeros((len(places), *whole.shape))
    more[np.arange(len(places)), places[:, 0], places[:, 1]] = step
    after = program.progress(whole + more)
    price = program.candidates.unit_s(program.rates)[places[:, 0], places[:, 1]]
    if (after >= 1.0).any():
        return np.asarray(more[int(np.argmin(np.where(after >= 1.0, price, np.inf)))])
    worth = (after - program.progress(whole)) / price
    return np.asarray(more[int(np.argmin(np.where(worth >= NEARLY_BEST * worth.max(), price, np.inf)))])


def _allocation(program: Program, whole: Array) -> Allocation:
    counts = program.candidates.counts(whole, program.rates)
    return Allocation(
        whole.astype(np.int64),
        program.rates,
        program.candidates.cost_s(whole, program.rates),
        tuple(float(law.half_width(counts)) for law in program.laws),
        float(program.progress(whole)),
    )
