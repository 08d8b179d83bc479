"""What a refinement is after: laws, and an interval or a budget."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from widesweep.pipeline.errors import InputError

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)\s*")
NOTHING = "Nothing was started."


@dataclass(frozen=True)
class Goal:
    """What the rounds are to reach; the same goal given again goes on where it stopped.

    Attributes:
        laws: names; empty: every law whose interval seeds can tighten.
        interval: length wanted of each law's 95 % interval.
        budget_s: core seconds to spend (on a GPU: seconds of blocks).
    """

    laws: tuple[str, ...] = ()
    interval: float | None = None
    budget_s: float | None = None

    def record(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {**asdict(self), "laws": list(self.laws)}


def parse(laws: list[str] | None, interval: float | None, budget: str | None, *, dry_run: bool) -> Goal:
    """A goal from the command's options.

    Raises:
        InputError: neither or both of interval and budget, or one that is no such thing.

    >>> parse(["weight_drift"], None, "1.5h", dry_run=False)
    Goal(laws=('weight_drift',), interval=None, budget_s=5400.0)
    """
    if interval is not None and budget is not None:
        raise InputError("--interval and --budget", "both are given", "one of them ends the rounds", NOTHING)
    if interval is None and budget is None and not dry_run:
        wanted = "one of them ends the rounds; --dry-run alone shows what half of each interval costs"
        raise InputError("--interval, --budget", "neither is given", wanted, NOTHING)
    if interval is not None and not 0.0 < interval < float("inf"):
        wanted = "the length of a 95 % interval, above 0, such as 0.05"
        raise InputError(f"--interval {interval:g}", "it is no length", wanted, NOTHING)
    seconds = None if budget is None else duration_s(budget)
    return Goal(tuple(sorted(set(laws or ()))), interval, seconds)


def duration_s(text: str) -> float:
    """Seconds in a duration such as 90, 45s, 30m, 1.5h or 2d.

    >>> duration_s("30m"), duration_s("90")
    (1800.0, 90.0)
    """
    match = _DURATION.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        wanted = "durations look like 90 (seconds), 45s, 30m, 1.5h or 2d"
        raise InputError(f"--budget {text}", "it is no duration", wanted, NOTHING)
    return float(match[1]) * _UNITS_S[match[2]]
