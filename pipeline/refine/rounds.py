"""Rounds of a refinement: look, propose, run, look again, until the interval or the budget is reached."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from widesweep import analysis
from widesweep.analysis.refine.allocation import Allocation
from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast
from widesweep.analysis.refine.rounds import foreseen, next_round
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan.forecast import duration
from widesweep.pipeline.refine import proposal, record
from widesweep.pipeline.refine.design_space import DrawPlaces
from widesweep.pipeline.refine.goal import Goal
from widesweep.pipeline.refine.proposal import Proposal, Step
from widesweep.pipeline.refine.snapshot import Snapshot, look_at, refinable
from widesweep.pipeline.store import address as store_address
from widesweep.pipeline.store.reader import GROWING, Store
from widesweep.workers.variable import PENDING

MOST_ROUNDS = 20
LEAST_GROWTH = 8  # draws of a pair grow by one in so many at least
SHORTER = 8  # times that a budget is lowered
LEAST_SHARE = 1e-3  # of a budget, below which what is left is nothing


def refine(url: str, goal: Goal, address: str | None = None, *, dry_run: bool = False) -> dict[str, Any]:
    """Refines a sweep, or goes on where a refinement with the same goal stopped.

    Args:
        url: the store of a sweep that has run.
        goal: laws, and an interval or a budget.
        address: a Ray cluster's; default: a local cluster.
        dry_run: says what the next round would be, and runs nothing.

    Returns:
        The object that `refine --json` prints: `store`, `laws`, `rounds`, `cost_s`, `stopped`; with
        `dry_run` the next round as `proposal` (None where there is none).

    Raises:
        InputError: no such store or law, or a sweep that cannot be refined; nothing was written.
        Interrupted: a signal stopped a round; the same command goes on.
    """
    url = store_address.absolute(url)
    book = record.read(url)
    sweep = refinable(Store(url))
    if dry_run:
        look = look_at(url, goal, book.of(goal))
        step, stopped = _next(look, goal, book.of(goal))
        return _result(look, book.of(goal), stopped) | {"proposal": step and step.shown}
    if book.unfinished is not None:
        book.interrupted()
        run(proposal.again(sweep, book.unfinished["requested"]), url, address)
    elif Store(url).attributes.get(GROWING) or len(Store(url).blocks_with(PENDING)):
        run(sweep, url, address)
    while True:
        look = look_at(url, goal, book.of(goal))
        if book.unfinished is not None:
            book.finish(_core_s(url) - book.unfinished["core_s_before"], look.known)
        step, stopped = _next(look, goal, book.of(goal))
        if step is None:
            break
        # What comes of the round is recorded after the next look.
        print(f"round {len(book.of(goal)) + 1}: {lines(step.shown)}", file=sys.stderr, flush=True)
        assert step.sweep.requested is not None
        before = {"core_s_before": _core_s(look.store.url), "requested": step.sweep.requested.text()}
        book.begin({"goal": goal.record(), "known": look.known, **before, **step.shown})
        run(step.sweep, look.store.url, address)
    mine = book.of(goal)
    book.end(stopped)
    if mine:
        analysis.analyze(url)
    return _result(look, mine, stopped)


def _next(look: Snapshot, goal: Goal, mine: list[dict[str, Any]]) -> tuple[Proposal | None, str]:
    """The next round, or why there is none."""
    if not look.tightenable:
        return None, "nothing here can be tightened by more cells"
    if not look.open:
        return None, "reached"
    if len(mine) >= MOST_ROUNDS:
        return None, f"not reached in {MOST_ROUNDS} rounds"
    spent_s = sum(each["cost_s"] for each in mine)
    left_s = None if goal.budget_s is None else goal.budget_s - spent_s
    if left_s is not None and left_s < LEAST_SHARE * (goal.budget_s or 0.0):
        return None, "the budget is spent"
    steps = _steps(look, mine, left_s)
    if not steps:
        return None, "the rest of the budget buys nothing" if goal.budget_s else "nothing brings it nearer"
    return proposal.propose(look.sweep, look.store, look.seeds, steps), ""


def _steps(look: Snapshot, mine: list[dict[str, Any]], left_s: float | None) -> list[Step]:
    """Seeds for the laws on trained cells, draws for those on random networks; each gets half of a budget."""
    seeds, draws = look.open_of(draws=False), look.open_of(draws=True)
    own_s = left_s if left_s is None or not (seeds and draws) else left_s / 2
    steps: list[Step | None] = []
    if seeds and (where := look.seeds) is not None:
        price_s = functools.partial(proposal.seeds_s, look.store, where)
        found = _within(look, seeds, where, _spent_on_seeds(mine), own_s, price_s)
        steps.append(None if found is None else Step(found, seeds))
    if draws and look.draws is not None:
        steps.append(draw_step(look, look.draws, draws, own_s))
    return [step for step in steps if step is not None and step.allocation.added.any()]


def draw_step(
    look: Snapshot, places: DrawPlaces, laws: list[LawForecast], left_s: float | None
) -> Step | None:
    """All draws at once: their spread is known from 64 groups, and a part that is not full is drawn anew."""
    where, everything = places.candidates, float("inf")
    found = _within(look, laws, where, everything, left_s, lambda found: places.cost_s(found.added))
    return None if found is None else Step(_worth_drawing(found, laws, places), laws, places)


def _within(
    look: Snapshot,
    laws: list[LawForecast],
    where: Candidates,
    spent_s: float,
    left_s: float | None,
    price_s: Callable[[Allocation], np.ndarray],
) -> Allocation | None:
    """A round whose blocks and parts, whole and so dearer than what is in them, cost no more than is left."""
    goals, budget_s = [look.goals[law.name] for law in laws], left_s
    for _ in range(SHORTER):
        found = next_round(laws, where, goals, spent_s, budget_s)
        if found is None or left_s is None or budget_s is None:
            return found
        cost_s = float(price_s(found).sum())
        if cost_s <= left_s:
            return found
        budget_s *= min(left_s / cost_s, 0.9)
    return None


def _worth_drawing(found: Allocation, laws: list[LawForecast], places: DrawPlaces) -> Allocation:
    """Without pairs that would grow by less than an eighth, unless there are no others."""
    added = np.where(places.unit * found.added * LEAST_GROWTH >= places.draws, found.added, 0)
    if not added.any():
        return found
    return foreseen(replace(found, added=added), laws, places.candidates)


def _spent_on_seeds(mine: list[dict[str, Any]]) -> float:
    """Seconds of the rounds before, as far as their forecasts went to seeds."""
    spent_s = 0.0
    for each in mine:
        seeds_s = sum(group["cost_s"] for group in each["proposed"] if "seeds" in group)
        spent_s += each["cost_s"] * seeds_s / max(each["cost_forecast_s"], 1e-12)
    return spent_s


def _result(look: Snapshot, mine: list[dict[str, Any]], stopped: str) -> dict[str, Any]:
    before = mine[0]["known"] if mine else look.known
    laws = {
        each.name: {
            "interval_before": [before[each.name]["low"], before[each.name]["high"]],
            "interval": [look.known[each.name]["low"], look.known[each.name]["high"]],
            "goal": 2.0 * look.goals[each.name] if each.name in look.goals else None,
            "reached": each.forecast is not None and each.forecast not in look.open and not each.obstacle,
            "obstacle": each.obstacle or None,
        }
        for each in look.forecasts
    }
    cost_s = sum(each.get("cost_s", 0.0) for each in mine)
    return {"store": look.store.url, "laws": laws, "rounds": mine, "cost_s": cost_s, "stopped": stopped}


def _core_s(url: str) -> float:
    return float(Store(url).run_attributes().get("core_s", 0.0))


def lines(shown: dict[str, Any]) -> str:
    """A proposal for people: cells, cost, intervals as forecast, and each group with its reason."""
    groups, cost_s = shown["proposed"], shown["cost_forecast_s"]
    cells = sum(group["seeds"] * len(group["learning_rate"]) for group in groups if "seeds" in group)
    drawn = sum(group["draws"] for group in groups if "draws" in group)
    added = [f"{cells} cells"] * (cells > 0) + [f"{drawn:,} draws"] * (drawn > 0)
    text = [f"{' and '.join(added)}, about {duration(cost_s)} of computing"]
    for name, (low, high) in shown["interval_band"].items():
        length, band = shown["interval_forecast"].get(name), f"between {low:.4g} and {high:.4g} with 90 %"
        if length is None:
            text.append(f"  {name}: interval {band}, for a forecast too little is known of its spread")
        else:
            text.append(f"  {name}: interval forecast {length:.4g}, {band}")
    for name, seeds in shown["seeds_for_forecast"].items():
        told = f"{name}: with about {seeds} seeds at each width and depth forecasts would be within 25 %"
        text.append(f"  {told}")
    for group in groups:
        place = f"at width {group['width']}, depth {group['depth']}"
        told = f"{group['draws']:,} draws {place}" if "draws" in group else _seeds_told(group, place)
        text.append(f"  {told} ({duration(group['cost_s'])}): {group['why']}")
    return "\n".join(text)


def _seeds_told(group: dict[str, Any], place: str) -> str:
    rates = ", ".join(f"{rate:g}" for rate in group["learning_rate"])
    return f"{group['seeds']} seeds {place}, η = {rates}"


def text(result: dict[str, Any]) -> str:
    """The whole result for people."""
    rows = []
    for name, law in result["laws"].items():
        now, before = (high - low for low, high in (law["interval"], law["interval_before"]))
        told = f"{before:.4g} → {now:.4g}" if result["rounds"] else f"{now:.4g}"
        wanted = f", wanted {law['goal']:.4g}" if law["goal"] and not law["obstacle"] else ""
        rows.append(f"{name}: interval {told}{wanted}" + (", reached" if law["reached"] else ""))
        if law["obstacle"]:
            rows.append(f"  cannot be tightened by more cells: {law['obstacle']}")
    if result.get("proposal"):
        step = result["proposal"]
        return "\n".join([*rows, f"next round: {lines(step)}"])
    spent = (
        f"{len(result['rounds'])} rounds, {duration(result['cost_s'])} of computing; "
        if result["rounds"]
        else ""
    )
    return "\n".join([*rows, f"{spent}{result['stopped']}"])
