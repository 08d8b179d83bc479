"""Which laws will speak of a sweep, and where each of them does, before anything has run."""

from __future__ import annotations

import sys
from typing import Any

import xarray as xr

from widesweep.analysis.laws import BY_VARIANT, LAWS, Law, regime_of
from widesweep.analysis.laws.kinds.regime import AT_START
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.pipeline.config.sweep_config import SweepConfig


def regimes(config: SweepConfig) -> dict[str, dict[str, Any]]:
    """Of each law whose quantities the sweep measures: its regime, and whether the config lies inside.

    Args:
        config: the sweep.

    Returns:
        {name: {"regime": a sentence, "speaks": bool, "reason": why it does not, empty if it does}}. A law
        that speaks may still leave out single cells, such as those of large learning rates.
    """
    summary = CellSummary(config.model_dump(mode="json"), None, None, None, xr.Dataset())
    measured = {"initialization"} if config.initialization is not None else set()
    if config.training is not None:
        measured |= {"fits", *(f"training/{v.name}" for v in config.training.variables)}
        measured |= {"training/learning_rate_absolute", "training/status"}
    found = {}
    for law in (*LAWS, *BY_VARIANT):
        if all(_is_measured(name, measured) for name in _reads(law)):
            regime = regime_of(law)
            reasons = [outside.reason for limit in regime.limits if (outside := limit.outside(summary))]
            found[_name(law)] = {
                "regime": regime.sentence,
                "speaks": not reasons,
                "reason": "; ".join(reasons),
            }
    return found


def text(found: dict[str, dict[str, Any]]) -> str:
    """Laws that share a regime in one sentence; then those that do not speak, and why."""
    by_regime: dict[str, list[str]] = {}
    for name, one in found.items():
        if one["speaks"]:
            by_regime.setdefault(one["regime"], []).append(name)
    lines = [f"{', '.join(names)}: {regime}" for regime, names in by_regime.items()]
    silent = [f"{name} does not apply: {one['reason']}." for name, one in found.items() if not one["speaks"]]
    return "\n".join([*lines, *silent])


def _is_measured(name: str, measured: set[str]) -> bool:
    group = name.partition("/")[0]
    return group == "theory" or name in measured or group in measured


def _module(law: Law) -> Any:
    return sys.modules[law.__module__]


def _reads(law: Law) -> tuple[str, ...]:
    owner = getattr(law, "__self__", None)
    names = _module(law).READS if owner is None else owner.reads
    regime = regime_of(law)
    return ("initialization/-", *names) if AT_START in regime.limits else tuple(names)


def _name(law: Law) -> str:
    owner = getattr(law, "__self__", None)
    if owner is not None:
        return str(owner.name)
    return str(getattr(_module(law), "NAME", _module(law).__name__.rpartition(".")[2]))
