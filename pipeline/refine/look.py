"""What is known between two rounds: the laws, what stands in their way, where seeds may go."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import analysis
from analysis.laws.finding import Finding
from analysis.refine.candidates import Candidates
from analysis.refine.law_forecast import LawForecast
from analysis.refine.prospects import Prospect, prospects
from analysis.refine.rounds import is_reached
from pipeline.config import SweepFile
from pipeline.errors import InputError
from pipeline.refine import proposal
from pipeline.refine.goal import NOTHING, Goal
from pipeline.store import Store

HALF = 0.5  # of each interval: what --dry-run shows where no goal is given
FURTHEST = 0.05  # share of each interval that a budget is spent towards


@dataclass(frozen=True)
class Look:
    """What is known.

    Attributes:
        store: as it is.
        sweep: its config.
        known: slope and interval of each law, for the record.
        prospects: of the same laws.
        where: where seeds may go.
        goals: half-width wanted, by law.
    """

    store: Store
    sweep: SweepFile
    known: dict[str, dict[str, float]]
    prospects: list[Prospect]
    where: Candidates
    goals: dict[str, float]

    @property
    def tightenable(self) -> list[LawForecast]:
        """Laws in whose way nothing stands."""
        return [p.forecast for p in self.prospects if p.forecast is not None and not p.obstacle]

    @property
    def open(self) -> list[LawForecast]:
        """Those of them whose interval is still too long."""
        return [law for law in self.tightenable if not is_reached(law, self.where, self.goals[law.name])]


def refinable(store: Store) -> SweepFile:
    """A store's own config, to go on with.

    Raises:
        InputError: it trains nothing, or has several output scales or corrupted fractions.
    """
    if store.config.training is None:
        wanted = "seeds are added to trained networks; more random networks are initialization.draws"
        raise InputError(store.url, "it trains nothing", wanted, NOTHING)
    if len(store.config.variants) > 1:
        found = f"it has an axis {store.config.variant_axis}"
        raise InputError(store.url, found, "a sweep with one value of it", NOTHING)
    return SweepFile(store.config, store.url, Path.cwd(), store.asked)


def look_at(url: str, goal: Goal, mine: Sequence[dict[str, Any]]) -> Look:
    """Fits the laws as they are and says what more seeds would do.

    Args:
        url: the store.
        goal: what the rounds are after.
        mine: the rounds so far; a budget goes towards a share of the intervals before them.

    Raises:
        InputError: a law that this sweep has not.
    """
    store = Store(url)
    sweep = refinable(store)
    study = analysis.examine(url)
    findings = _chosen(url, study.findings, goal.laws)
    half = {f.name: f.estimate.half_width for f in findings if np.isfinite(f.estimate.half_width)}
    goals = {name: _goal(name, now, goal, mine) for name, now in half.items()}
    where = proposal.candidates(sweep, store)
    found = prospects(study.evidence, findings, where.widths, where.depths, goals)
    known = {
        f.name: {"slope": f.estimate.value, "low": f.estimate.low, "high": f.estimate.high} for f in findings
    }
    return Look(store, sweep, known, found, where, goals)


def _chosen(url: str, findings: Sequence[Finding], names: Sequence[str]) -> list[Finding]:
    """The findings of the laws that are wanted; all where none is named."""
    every = [f.name for f in findings]
    for name in names:
        if name not in every:
            near = difflib.get_close_matches(name, every, n=1)
            hint = f"the nearest is {near[0]}" if near else f"it has {', '.join(every)}"
            raise InputError(f"--law {name}", f"{url} has no such law", hint, NOTHING)
    return [f for f in findings if not names or f.name in names]


def _goal(name: str, now: float, goal: Goal, mine: Sequence[dict[str, Any]]) -> float:
    """The half-width wanted of a law."""
    if goal.interval is not None:
        return goal.interval / 2.0
    if goal.budget_s is None:
        return HALF * now
    before = mine[0]["known"].get(name) if mine else None
    return FURTHEST * ((before["high"] - before["low"]) / 2.0 if before else now)
