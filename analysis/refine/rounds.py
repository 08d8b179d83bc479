"""How much of a design one round takes: half of what is missing first, so that forecasts can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.refine.allocation import Allocation, allocate, share_of
from analysis.refine.candidates import Candidates
from analysis.refine.law_forecast import LawForecast

AIM = 0.97  # of the goal: a forecast that hits exactly falls short every second time
FIRST_SHARE = 0.5


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

    Source: the internal pilot of Wittes and Brittain 1990; the two stages of Stein 1945.
    """
    scales = [_scale(law, candidates, goal) for law, goal in zip(laws, goals, strict=True)]
    aims = [AIM * goal / scale for goal, scale in zip(goals, scales, strict=True)]
    step = allocate(laws, candidates, aims, left_s)
    if step is not None and step.cost_s > spent_s:
        share = max(FIRST_SHARE, spent_s / step.cost_s)
        step = share_of(step, share, laws, candidates)
    if step is None:
        return None
    halves = tuple(half * scale for half, scale in zip(step.half_widths, scales, strict=True))
    return replace(step, half_widths=halves)


def is_reached(law: LawForecast, candidates: Candidates, goal: float) -> bool:
    """Whether an interval is as short as wanted, both as measured and by all groups' spread together.

    An interval that is short by the luck of a few seeds alone does not end the rounds: stopping at the first
    such look would leave intervals that cover the truth too seldom.
    """
    return max(law.now, float(law.half_width(candidates.seeds))) <= goal


def _scale(law: LawForecast, candidates: Candidates, goal: float) -> float:
    """Measured over forecast interval as it is now, believed the more, the less there is left to measure."""
    ratio = float(law.now / law.half_width(candidates.seeds))
    return float(max(1.0, ratio ** min(1.0, goal / law.now)))
