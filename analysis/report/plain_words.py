"""A study in plain words: what was found in two sentences, and what to do after each law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widesweep.analysis.laws.kinds.law_result import (
    BROKEN,
    CONSISTENT,
    HOLDS,
    INCONCLUSIVE,
    INCONSISTENT,
    NOT_APPLICABLE,
    VACUOUS,
    LawResult,
)

VERDICTS = {
    CONSISTENT: "agree with theory",
    HOLDS: "hold in every cell",
    BROKEN: "break in some cell",
    VACUOUS: "could not fail here",
    INCONSISTENT: "contradict it",
    INCONCLUSIVE: "cannot be told from these cells",
    NOT_APPLICABLE: "do not speak of these networks",
}
SINGULAR = {"agree": "agrees", "contradict": "contradicts", "do": "does", "hold": "holds", "break": "breaks"}
KINDS = {
    "fully_connected": "fully connected networks",
    "two_layer": "two-layer networks",
    "random_features": "random-feature models",
    "resnet": "residual networks",
    "module": "networks of your own module",
}


def opening(findings: Sequence[LawResult], config: Mapping[str, Any], counts: Mapping[str, int]) -> list[str]:
    """Two sentences: how many laws agree, and what was trained.

    Args:
        findings: of the study.
        config: the sweep's, resolved.
        counts: cells by state.

    >>> opening([], {"network": {"kind": "two_layer"}, "grid": {"width": [8, 64]}}, {"done": 3})
    ['No law concerns this sweep.', 'The sweep has 3 finished cells of two-layer networks, width 8 to 64.']
    """
    return [_verdicts(findings), _cells(config, counts)]


def advice(finding: LawResult) -> str:
    """What to do next, given the verdict.

    >>> from widesweep.analysis.laws.kinds.law_result import undecided
    >>> advice(undecided("weight_drift", "drift", -0.5, "No cell is done."))
    'Ask `widesweep refine STORE --law weight_drift --dry-run` which cells would decide it, and at what cost.'
    """
    refine = f"`widesweep refine STORE --law {finding.name}"
    if finding.verdict == CONSISTENT:
        return f"Nothing is needed. {refine} --interval W` narrows the interval to W."
    if finding.verdict == INCONCLUSIVE:
        return f"Ask {refine} --dry-run` which cells would decide it, and at what cost."
    if finding.verdict == HOLDS:
        return "Nothing is needed: it holds in every cell, with the least room given above."
    if finding.verdict == VACUOUS:
        return "Take cells in which it could fail: longer training, larger rates or smaller widths."
    if finding.verdict == BROKEN:
        return "Look at the cells named above: a bound breaks where an assumption of it does, or is refuted."
    if finding.verdict == INCONSISTENT:
        return (
            "Look at the figure first: a bend at small widths means that the networks are not wide enough "
            "yet; a straight line with another slope is a finding. Repeat it with `--set seed=1 --store NEW`."
        )
    return "Train networks of which the law speaks; the reason above says what they lack."


def _verdicts(findings: Sequence[LawResult]) -> str:
    if not findings:
        return "No law concerns this sweep."
    parts = []
    for verdict, words in VERDICTS.items():
        if count := sum(each.verdict == verdict for each in findings):
            first, _, rest = words.partition(" ")
            parts.append(f"{count} {SINGULAR.get(first, first) if count == 1 else first} {rest}")
    if len(parts) == 1 and len(findings) > 1:
        return f"All {len(findings)} laws {parts[0].partition(' ')[2]}."
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"Of {len(findings)} laws, {listed}." if len(findings) > 1 else f"Of one law, {listed}."


def _cells(config: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    kind = str(config.get("network", {}).get("kind", "fully_connected"))
    grid = config.get("grid", {})
    axes = [f"{name} {_span(grid[name])}" for name in ("width", "depth") if grid.get(name)]
    training = config.get("training")
    how = f", trained by {training.get('optimizer', 'gd')}" if training else ""
    data = config.get("data") or {}
    points = (
        f" on {data['samples']} points of {data.get('source', 'the data')}"
        if training and "samples" in data
        else ""
    )
    cells = "cell" if counts["done"] == 1 else "cells"
    networks = f"{KINDS.get(kind, kind)}, {', '.join(axes)}"
    return f"The sweep has {counts['done']:,} finished {cells} of {networks}{how}{points}."


def _span(values: Any) -> str:
    listed = values if isinstance(values, list | tuple) else [values]
    return f"{min(listed)} to {max(listed)}" if len(listed) > 1 else str(listed[0])
