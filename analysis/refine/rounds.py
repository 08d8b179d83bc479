"""How much of a design one round takes: half of what is missing first, so that forecasts can be checked.

Where the seeds there say too little of their spread to forecast an interval, a pilot comes before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.refine.allocation import Allocation, allocate, share_of
from analysis.refine.candidates import Candidates
from analysis.refine.law_forecast import LawForecast
from analysis.refine.outlook import outlook

AIM = 0.97  # of the goal: a forecast that hits exactly falls short every second time
FIRST_SHARE = 0.5
PILOT_BELOW = 0.85  # share of forecasts within a quarter, as expected, below which a pilot comes first
NEARLY = 1.02  # what a look may measure over the design's own half-width: below, one design will do


def next_round(
    laws: Sequence[LawForecast],
    candidates: Candidates,
    goals: Sequence[float],
    spent_s: float,
    left_s: float | None = None,
    *,
    may_pilot: bool = False,
) -> Allocation | None:
    """The seeds of the next round.

    The whole design if it costs no more than the rounds before it together, else half of its cost. Which
    seeds and how many depends on spreads and costs alone, never on a fitted slope: given the numbers of
    seeds, a mean is independent of its spread, so looking between rounds does not bias the slope.

    Args:
        laws: forecasts, made from all data so far.
        candidates: where seeds may go.
        goals: half-widths wanted.
        spent_s: seconds of the rounds before.
        left_s: seconds that are left of a budget; None: there is none.
        may_pilot: whether a pilot may come in its place, where too few forecasts would be within a quarter
            of what is measured, and where it costs no more than the design.

    Returns:
        The allocation; None where nothing affordable brings the laws nearer.

    Source: the internal pilot of Wittes and Brittain 1990; the two stages of Stein 1945.
    """
    aims = [AIM * goal for goal in goals]
    step = allocate(laws, candidates, aims, left_s)
    if step is None:
        return None
    scales = [
        max(1.0, after.median / half)
        for after, half in zip(foreseen(step, laws, candidates).outlooks, step.half_widths, strict=True)
    ]
    if max(scales) > NEARLY:
        shorter = [aim / scale for aim, scale in zip(aims, scales, strict=True)]
        step = allocate(laws, candidates, shorter, left_s) or step
    pilot = _pilot(foreseen(step, laws, candidates), candidates) if may_pilot else None
    if pilot is not None and pilot.cost_s <= step.cost_s:  # which is within what is left
        return foreseen(pilot, laws, candidates)
    if step.cost_s > spent_s:
        share = max(FIRST_SHARE, spent_s / step.cost_s)
        step = share_of(step, share, laws, candidates)
    return foreseen(step, laws, candidates)


def _pilot(step: Allocation, candidates: Candidates) -> Allocation | None:
    """As many seeds at each pair that has some as make the forecast sure; None: it is, or they are there."""
    seeds = candidates.seeds.max(-1)
    there = (seeds > 0) & candidates.allowed
    unsure = [each for each in step.outlooks if each.close < PILOT_BELOW]
    if not unsure or not there.any():
        return None
    fewest = float(seeds[there].min())
    needed = max(each.seeds_needed(fewest) for each in unsure)
    added = np.where(there, np.maximum(needed - seeds, 0.0), 0.0)
    if not added.any():
        return None
    cost_s = candidates.cost_s(added, step.rates)
    return replace(step, added=added.astype(np.int64), cost_s=cost_s, reached=0.0, is_pilot=True)


def foreseen(step: Allocation, laws: Sequence[LawForecast], candidates: Candidates) -> Allocation:
    """The same with what a look may measure after it: its half-widths are the medians of that."""
    counts = candidates.counts(step.added.astype(np.float64), step.rates)
    after = tuple(outlook(law.outlook(counts)) for law in laws)
    return replace(step, half_widths=tuple(each.median for each in after), outlooks=after)


def is_reached(law: LawForecast, candidates: Candidates, goal: float) -> bool:
    """Whether an interval is as short as wanted, both as measured and by all groups' spread together.

    An interval that is short by the luck of a few seeds alone does not end the rounds: stopping at the first
    such look would leave intervals that cover the truth too seldom.
    """
    return max(law.now, float(law.half_width(candidates.seeds))) <= goal
