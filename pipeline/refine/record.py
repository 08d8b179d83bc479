"""The group /refinement: every round: what was known, what was proposed, what it cost, what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from widesweep.pipeline.refine.goal import Goal
from widesweep.pipeline.store import address, claim, objects, template

KEY = "refinement/zarr.json"
RUNNING, DONE = "running", "done"


@dataclass
class Record:
    """Rounds of all refinements of a store, oldest first.

    Attributes:
        url: the store.
        rounds: of each its `goal`, `known`, `proposed`, `interval_forecast`, `interval_band`,
            `seeds_for_forecast`, `cost_forecast_s`, `state`; while it runs `requested`, what the store
            asks for with it; once it is done `cost_s` and `found`; and `interrupted`, how often another
            driver took it up.
    """

    url: str
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unfinished(self) -> dict[str, Any] | None:
        """The round that was under way when its driver stopped."""
        return self.rounds[-1] if self.rounds and self.rounds[-1]["state"] == RUNNING else None

    def of(self, goal: Goal) -> list[dict[str, Any]]:
        """The rounds of the refinement that this goal goes on with; none after it has ended."""
        found: list[dict[str, Any]] = []
        for each in reversed(self.rounds):
            if each["goal"] != goal.record() or each.get("ended"):
                break
            found.insert(0, each)
        return found

    def begin(self, values: dict[str, Any]) -> None:
        """A round that is about to run."""
        self.rounds.append({**values, "state": RUNNING})
        self._write()

    def interrupted(self) -> None:
        """The last round's driver died or was stopped, and another one goes on with it."""
        self.rounds[-1]["interrupted"] = self.rounds[-1].get("interrupted", 0) + 1
        self._write()

    def finish(self, cost_s: float, found: dict[str, Any]) -> None:
        """What the last round cost, and what came out."""
        del self.rounds[-1]["requested"]
        self.rounds[-1] |= {"state": DONE, "cost_s": cost_s, "found": found}
        self._write()

    def end(self, why: str) -> None:
        """The last round was the last of its goal: the same goal given again begins anew."""
        if self.rounds and not self.rounds[-1].get("ended"):
            self.rounds[-1]["ended"] = why
            self._write()

    def _write(self) -> None:
        attributes = {
            "long_name": "rounds of `widesweep refine`, oldest first, as JSON",
            "rounds": json.dumps(self.rounds, ensure_ascii=False),
        }
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        objects.put(self.url, {KEY: json.dumps(group, indent=2).encode()})
        with claim.brief(self.url) as alone:  # a run gathers metadata when it ends
            if alone:
                objects.with_retries(self.url, lambda: template.consolidate(address.zarr_store(self.url)))


def read(url: str) -> Record:
    """The record of a store; empty where it was never refined."""
    content = json.loads(objects.get(url, KEY) or b"{}")
    return Record(url, json.loads(content.get("attributes", {}).get("rounds", "[]")))
