"""The laws as a plain text table, for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from widesweep.analysis.report import expectation

HEADER = ("law", "slope [95 % interval]", "expected", "verdict", "points")


def table(laws: Mapping[str, Mapping[str, Any]], *, notes: bool = True, columns: int = 100) -> str:
    """Laws as text: name, slope with its interval, expectation, verdict, number of points; then the notes.

    Args:
        laws: the value of "laws" in what `analyze` returns.
        notes: whether each law's note follows the table.
        columns: of the terminal, to wrap notes.

    Returns:
        Lines without a trailing newline.

    >>> print(table({"weight_drift": {"slope": -0.5, "slope_low": -0.6, "slope_high": -0.4,
    ...     "expected": -0.5, "verdict": "consistent", "points": 64, "note": ""}}))
    law           slope [95 % interval]     expected  verdict     points
    weight_drift  -0.500 [-0.600, -0.400]   -0.5      consistent  64
    """
    if not laws:
        return "No law concerns this sweep."
    rows = [HEADER, *(_row(name, law) for name, law in laws.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    widths[1] = max(widths[1], 24)
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if notes:
        for name, law in laws.items():
            text = " ".join(filter(None, (law.get("note"), law.get("regime"))))
            if text:
                text = f"{name}: {text}"
                lines += ["", *textwrap.wrap(text, columns, subsequent_indent="  ")]
    return "\n".join(lines)


def _row(name: str, law: Mapping[str, Any]) -> tuple[str, ...]:
    slope = "none"
    if law.get("slope") is not None:
        slope = f"{law['slope']:.3f}"
        if law["slope_low"] is not None:
            slope += f" [{law['slope_low']:.3f}, {law['slope_high']:.3f}]"
    return name, slope, _expected(law), str(law["verdict"]).replace("_", " "), str(law["points"])


def _expected(law: Mapping[str, Any]) -> str:
    """The limit, and what a finite grid may show where that differs."""
    value, low, high = (law.get(key) for key in ("expected", "expected_low", "expected_high"))
    text = expectation.limit(value, low, high)
    if value is None or low == high:
        return text
    return f"{text} ({expectation.allowed(low, high)})"
