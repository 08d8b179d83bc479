"""The laws of two sweeps side by side: do their slopes differ?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Law = Mapping[str, Any]
HEADER = ("law", "first", "second", "difference [95 %]", "")


def compared(first: Mapping[str, Law], second: Mapping[str, Law]) -> dict[str, dict[str, Any]]:
    """Each law that either sweep has, with the difference of the slopes.

    The 95 % interval of the difference is ± √(h₁² + h₂²), hᵢ half the length of the i-th interval: the two
    sweeps are taken as independent, which sweeps that share seeds are not quite.

    Args:
        first: laws by name, as `analyze` returns them.
        second: the other sweep's.

    Returns:
        By law: `first` and `second` (None where a sweep lacks it), `difference` (second − first),
        `difference_low`, `difference_high`, and `differs`: whether 0 lies outside; None where unknown.

    >>> law = {"slope": -0.5, "slope_low": -0.53, "slope_high": -0.47, "verdict": "consistent"}
    >>> other = {"slope": -0.9, "slope_low": -0.94, "slope_high": -0.86, "verdict": "inconsistent"}
    >>> found = compared({"weight_drift": law}, {"weight_drift": other})["weight_drift"]
    >>> round(found["difference_low"], 3), round(found["difference_high"], 3), found["differs"]
    (-0.45, -0.35, True)
    """
    names = [*first, *(name for name in second if name not in first)]
    return {name: _pair(first.get(name), second.get(name)) for name in names}


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The same as text.

    Args:
        rows: what `compared` returns.
    """
    if not rows:
        return "No law concerns either sweep."
    cells = [HEADER, *((name, *_cells(row)) for name, row in rows.items())]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _pair(first: Law | None, second: Law | None) -> dict[str, Any]:
    pair: dict[str, Any] = {"first": first, "second": second}
    pair |= dict.fromkeys(("difference", "difference_low", "difference_high", "differs"))
    if first is None or second is None or None in (first["slope"], second["slope"]):
        return pair
    pair["difference"] = second["slope"] - first["slope"]
    halves = [_half(first), _half(second)]
    if None not in halves:
        reach = math.hypot(*(half for half in halves if half is not None))
        low, high = pair["difference"] - reach, pair["difference"] + reach
        pair |= {"difference_low": low, "difference_high": high, "differs": not low <= 0.0 <= high}
    return pair


def _half(law: Law) -> float | None:
    low, high = law["slope_low"], law["slope_high"]
    return None if low is None or high is None else (high - low) / 2.0


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    difference = "unknown" if row["difference"] is None else f"{row['difference']:+.3f}"
    if row["difference_low"] is not None:
        difference += f" [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    word = {True: "differs", False: "the same within the interval", None: ""}[row["differs"]]
    return _slope(row["first"]), _slope(row["second"]), difference, word


def _slope(law: Law | None) -> str:
    if law is None:
        return "not there"
    verdict = str(law["verdict"]).replace("_", " ")
    return verdict if law["slope"] is None else f"{law['slope']:.3f} {verdict}"
