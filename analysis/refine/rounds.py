"""How much of a design one round takes: half of what is missing first, so that forecasts can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from widesweep.analysis.refine.allocation import Allocation, allocate, share_of
from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast
from widesweep.analysis.refine.predictive_interval import predictive_interval

AIM = 0.97  # of the goal: a forecast that hits exactly falls short every second time
FIRST_SHARE = 0.5
NEARLY = (
    1.02  # what the next analysis may measure over the design's own half-width: below, one design will do
)


def next_round(
    laws: Sequence[LawForecast],
    candidates: Candidates,
    goals: Sequence[float],
    spent_s: float,
    left_s: float | None = None,
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

    Returns:
        The allocation; None where nothing affordable brings the laws nearer.

    Source: the two stages of Stein 1945.
    """
    aims = [AIM * goal for goal in goals]
    step = allocate(laws, candidates, aims, left_s)
    if step is None:
        return None
    scales = [
        max(1.0, after.median / half)
        for after, half in zip(foreseen(step, laws, candidates).predicted, step.half_widths, strict=True)
    ]
    if max(scales) > NEARLY:
        shorter = [aim / scale for aim, scale in zip(aims, scales, strict=True)]
        step = allocate(laws, candidates, shorter, left_s) or step
    if step.cost_s > spent_s:
        share = max(FIRST_SHARE, spent_s / step.cost_s)
        step = share_of(step, share, laws, candidates)
    return foreseen(step, laws, candidates)


def foreseen(step: Allocation, laws: Sequence[LawForecast], candidates: Candidates) -> Allocation:
    """The same with what the next analysis may measure after it: its half-widths are the medians of that."""
    counts = candidates.counts(step.added.astype(np.float64), step.rates)
    after = tuple(predictive_interval(law.possible_half_widths(counts)) for law in laws)
    return replace(step, half_widths=tuple(each.median for each in after), predicted=after)


def is_reached(law: LawForecast, candidates: Candidates, goal: float) -> bool:
    """Whether an interval is as short as wanted, both as measured and by all groups' spread together.

    An interval that is short by the luck of a few seeds alone does not end the rounds: stopping at the first
    such look would leave intervals that cover the truth too seldom.
    """
    return max(law.now, float(law.half_width(candidates.seeds))) <= goal
