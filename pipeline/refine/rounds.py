"""Rounds of a refinement: look, propose, run, look again, until the interval or the budget is reached."""

from __future__ import annotations

import sys
from typing import Any

import analysis
from analysis.refine.rounds import next_round
from pipeline import store_address
from pipeline.forecast import duration
from pipeline.growth import GROWING
from pipeline.refine import proposal, record
from pipeline.refine.goal import Goal
from pipeline.refine.look import Look, look_at, refinable
from pipeline.refine.proposal import Proposal
from pipeline.refine.record import Record
from pipeline.run import run
from pipeline.store import Store
from workers.variable import PENDING

MOST_ROUNDS = 20
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
        return _result(look, book.of(goal), stopped) | {"proposal": step and _shown(step)}
    if Store(url).attributes.get(GROWING) or len(Store(url).blocks_with(PENDING)):
        run(sweep, url, address)
    while True:
        look = look_at(url, goal, book.of(goal))
        if book.unfinished is not None:
            book.finish(_core_s(url) - book.unfinished["core_s_before"], look.known)
        step, stopped = _next(look, goal, book.of(goal))
        if step is None:
            break
        _round(look, step, goal, book, address)
    mine = book.of(goal)
    book.end(stopped)
    if mine:
        analysis.analyze(url)
    return _result(look, mine, stopped)


def _next(look: Look, goal: Goal, mine: list[dict[str, Any]]) -> tuple[Proposal | None, str]:
    """The next round, or why there is none."""
    if not look.tightenable:
        return None, "nothing here can be tightened by more seeds"
    if not look.open:
        return None, "reached"
    if len(mine) >= MOST_ROUNDS:
        return None, f"not reached in {MOST_ROUNDS} rounds"
    spent_s = sum(each["cost_s"] for each in mine)
    left_s = None if goal.budget_s is None else goal.budget_s - spent_s
    if left_s is not None and left_s < LEAST_SHARE * (goal.budget_s or 0.0):
        return None, "the budget is spent"
    goals = [look.goals[law.name] for law in look.open]
    step = next_round(look.open, look.where, goals, spent_s, left_s)
    if step is None or not step.added.any():
        return None, "the rest of the budget buys nothing" if goal.budget_s else "no seeds bring it nearer"
    return proposal.propose(look.sweep, look.store, look.where, step, look.open), ""


def _round(look: Look, step: Proposal, goal: Goal, book: Record, address: str | None) -> None:
    """Records a round and runs it; what comes out is recorded after the next look."""
    _say(len(book.of(goal)) + 1, step)
    book.begin(
        {"goal": goal.record(), "known": look.known, "core_s_before": _core_s(look.store.url), **_shown(step)}
    )
    run(step.sweep, look.store.url, address)


def _shown(step: Proposal) -> dict[str, Any]:
    """A proposal as the record and --json show it."""
    return {
        "proposed": step.groups,
        "cells": step.cells,
        "cost_forecast_s": step.cost_s,
        "interval_forecast": step.intervals,
    }


def _result(look: Look, mine: list[dict[str, Any]], stopped: str) -> dict[str, Any]:
    before = mine[0]["known"] if mine else look.known
    laws = {
        each.name: {
            "interval_before": [before[each.name]["low"], before[each.name]["high"]],
            "interval": [look.known[each.name]["low"], look.known[each.name]["high"]],
            "goal": 2.0 * look.goals[each.name] if each.name in look.goals else None,
            "reached": each.forecast is not None and each.forecast not in look.open and not each.obstacle,
            "obstacle": each.obstacle or None,
        }
        for each in look.prospects
    }
    cost_s = sum(each.get("cost_s", 0.0) for each in mine)
    return {"store": look.store.url, "laws": laws, "rounds": mine, "cost_s": cost_s, "stopped": stopped}


def _core_s(url: str) -> float:
    return float(Store(url).run_attributes().get("core_s", 0.0))


def _say(number: int, step: Proposal) -> None:
    print(f"round {number}: {lines(step.groups, step.cost_s, step.intervals)}", file=sys.stderr, flush=True)


def lines(groups: list[dict[str, Any]], cost_s: float, intervals: dict[str, float]) -> str:
    """A proposal for people: cells, cost, intervals as forecast, and each group with its reason."""
    cells = sum(group["seeds"] * len(group["learning_rate"]) for group in groups)
    text = [f"{cells} cells, about {duration(cost_s)} of computing"]
    text += [f"  {name}: interval {length:.4g} as forecast" for name, length in intervals.items()]
    for group in groups:
        rates = ", ".join(f"{rate:g}" for rate in group["learning_rate"])
        text.append(
            f"  {group['seeds']} seeds at width {group['width']}, depth {group['depth']}, η = {rates} "
            f"({duration(group['cost_s'])}): {group['why']}"
        )
    return "\n".join(text)


def text(result: dict[str, Any]) -> str:
    """The whole result for people."""
    rows = []
    for name, law in result["laws"].items():
        now, before = (high - low for low, high in (law["interval"], law["interval_before"]))
        told = f"{before:.4g} → {now:.4g}" if result["rounds"] else f"{now:.4g}"
        wanted = f", wanted {law['goal']:.4g}" if law["goal"] and not law["obstacle"] else ""
        rows.append(f"{name}: interval {told}{wanted}" + (", reached" if law["reached"] else ""))
        if law["obstacle"]:
            rows.append(f"  cannot be tightened by more seeds: {law['obstacle']}")
    if result.get("proposal"):
        step = result["proposal"]
        shown = lines(step["proposed"], step["cost_forecast_s"], step["interval_forecast"])
        return "\n".join([*rows, f"next round: {shown}"])
    spent = (
        f"{len(result['rounds'])} rounds, {duration(result['cost_s'])} of computing; "
        if result["rounds"]
        else ""
    )
    return "\n".join([*rows, f"{spent}{result['stopped']}"])
