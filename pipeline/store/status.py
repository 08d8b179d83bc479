"""How far a sweep is, from its store alone; works while it runs."""

from __future__ import annotations

import time
from typing import Any

from widesweep.pipeline.errors import printable
from widesweep.pipeline.store import claim
from widesweep.pipeline.store.reader import Store, counts


def status(url: str) -> dict[str, Any]:
    """The object that `status --json` prints.

    Args:
        url: the store's address.

    Returns:
        name, cells by state, blocks done and total, whether a run lives, seconds elapsed over all runs and
        seconds remaining (0 when finished, None when unknown). A sweep that also samples random networks
        counts their (width, depth) pairs under `initialization`; `failures` gives the first reasons.

    Raises:
        InputError: nothing is there, or no sweep's store.
    """
    store = Store(url, snapshot=True)
    run = store.run_attributes()
    finished = store.finished_blocks()[store.requested_blocks()]
    running = claim.is_held(url) and run.get("state") == "running"
    result: dict[str, Any] = {
        "name": store.config.name,
        "cells": store.cell_counts(),
        "blocks": {"done": int(finished.sum()), "total": len(finished)},
        "running": running,
        "elapsed_s": round(_elapsed_s(run, running), 3),
        "remaining_s": _remaining_s(run, running, bool(finished.all())),
    }
    if store.config.training is not None and store.config.initialization is not None:
        result["initialization"] = counts(store.initialization_status())
    failures = store.failures(10)
    if failures:
        result["failures"] = failures
    return result


def lines(state: dict[str, Any]) -> str:
    """The same for people.

    >>> print(lines({"name": "a", "cells": {"done": 1, "diverged": 0, "failed": 0, "pending": 1},
    ...     "blocks": {"done": 1, "total": 2}, "running": False, "elapsed_s": 3.0, "remaining_s": None}))
    a: not running
      cells   1 done, 0 diverged, 0 failed, 1 pending
      blocks  1 of 2
      time    3.0 s so far
    >>> print(lines({"name": "a", "cells": {"done": 2}, "blocks": {"done": 2, "total": 2}, "running": False,
    ...     "elapsed_s": 70.4, "remaining_s": 0.0}).splitlines()[-1])
      time    finished in 70 s
    """
    cells = ", ".join(f"{count} {name}" for name, count in state["cells"].items())
    text = [
        f"{state['name']}: {word(state)}",
        f"  cells   {cells}",
        f"  blocks  {state['blocks']['done']} of {state['blocks']['total']}",
        f"  time    {_time(state)}",
    ]
    if "initialization" in state:
        text.insert(
            2, "  random networks  " + ", ".join(f"{n} {name}" for name, n in state["initialization"].items())
        )
    text += [f"  block {block} failed: {reason}" for block, reason in state.get("failures", {}).items()]
    if "damaged" in state:
        damaged = [f"  {key} {found}" for key, found in state["damaged"].items()]
        help_ = "  `widesweep run CONFIG --repair` restores it, or computes it again"
        text += [*damaged, help_] if damaged else ["  every file is as it was written"]
    return "\n".join(map(printable, text))  # a name or a reason may be a stranger's


def word(state: dict[str, Any]) -> str:
    """Whether the sweep of such an object is running, finished or not running."""
    if state["running"]:
        return "running"
    return "finished" if state["blocks"]["done"] == state["blocks"]["total"] else "not running"


def _time(state: dict[str, Any]) -> str:
    elapsed = duration(state["elapsed_s"])
    if word(state) == "finished":
        return f"finished in {elapsed}"
    known = state["running"] and state["remaining_s"] is not None
    return f"{elapsed} so far" + (f", about {duration(state['remaining_s'])} left" if known else "")


def duration(seconds: float) -> str:
    """A time that has passed, or is left, to the second.

    >>> duration(0.4), duration(70.4), duration(276), duration(7300)
    ('0.4 s', '70 s', '4 min 36 s', '2 h 1 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60} s" if whole < 7200 else f"{whole // 3600} h {whole // 60 % 60} min"
    )


def _elapsed_s(run: dict[str, Any], running: bool) -> float:
    elapsed = float(run.get("elapsed_s", 0.0))
    return elapsed + max(0.0, time.time() - float(run["heartbeat"])) if running else elapsed


def _remaining_s(run: dict[str, Any], running: bool, finished: bool) -> float | None:
    remaining = run.get("remaining_s")
    if finished:
        return 0.0
    if not running or remaining is None:
        return None
    return round(max(0.0, float(remaining) - max(0.0, time.time() - float(run["heartbeat"]))), 3)
