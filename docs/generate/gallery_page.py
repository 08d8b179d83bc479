"""The published results of the gallery, as its catalogue states them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docs.generate.markdown import table
from widesweep.pipeline.gallery.catalogue import Entry, entries

RESULTS = Path(__file__).resolve().parents[1] / "gallery.json"  # of `widesweep gallery --all`
HEADER = ("law", "ours", "95 % interval", "expected here", "verdict", "control")


def page() -> str:
    """A table of all results, then each with its claim, formula, numbers, control and difference.

    >>> "## du-neurons" in page()
    True
    """
    rows = [(f"[`{entry.name}`](#{entry.name})", entry.title, entry.source) for entry in entries()]
    return "\n\n".join([table(("name", "result", "source"), rows), *(_section(entry) for entry in entries())])


def _section(entry: Entry) -> str:
    laws = ", ".join(dict.fromkeys(f"`{claim.law}`" for claim in entry.claims))
    control = entry.control
    changed = f" (`{' '.join(control.settings)}`)" if control.settings else ""
    return "\n\n".join(
        (
            f"## {entry.name}",
            f"**{entry.title}.** {entry.claim}",
            f"`{entry.formula}`",
            _numbers(json.loads(RESULTS.read_text(encoding="utf-8"))[entry.name]),
            f"Source: {entry.source}. Measured by {laws}.",
            f"Control: {control.reason}{changed} It must make "
            f"{', '.join(f'`{law}`' for law in control.refutes)} inconsistent (a bound: broken).",
            f"What differs: {entry.differs}",
        )
    )


def _numbers(found: dict[str, Any]) -> str:
    """A row for each claim, with what the control came to beside the last of its law."""
    controls = {one["law"]: one for one in found["control"]}
    rows = []
    for one in reversed(found["claims"]):
        control = controls.pop(one["law"], None)
        low, high = _text(one["expected_low"]), _text(one["expected_high"])
        rows.append(
            (
                f"`{one['law']}`" + (f", {one['run']}" if one["run"] else ""),
                _text(one["slope"]),
                f"{_text(one['low'])} to {_text(one['high'])}"
                if one["low"] is not None
                else "least of all cells",
                f"{low} to {high}",
                one["verdict"],
                f"{_text(control['slope'])}, {control['verdict']}" if control else "",
            )
        )
    return table(HEADER, rows[::-1])


def _text(value: float | None) -> str:
    return "no bound" if value is None else f"{value:.3f}".replace("-", "−")
