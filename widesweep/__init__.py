"""Trains grids of wide neural networks and says whether the laws of wide networks hold on them.

The public interface; names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widesweep.analysis.laws.kinds.law import Law
    from widesweep.analysis.laws.kinds.law_result import LawResult
    from widesweep.pipeline.config.shipped import example
    from widesweep.pipeline.public import Sweep, analyze, open, plan, refine, register, report, run
    from widesweep.workers.losses.loss_function import Loss
    from widesweep.workers.measurements import Measurement
    from widesweep.workers.networks.custom_activation import activation
    from widesweep.workers.networks.network import Network
    from widesweep.workers.optimizers.update_rule import UpdateRule as Optimizer
    from widesweep.workers.variable import Variable

_HOMES = {
    **dict.fromkeys(
        ("Sweep", "analyze", "open", "plan", "refine", "register", "report", "run"), "pipeline.public"
    ),
    "Loss": "workers.losses.loss_function",
    "Measurement": "workers.measurements",
    "Variable": "workers.variable",
    "Law": "analysis.laws.kinds.law",
    "Network": "workers.networks.network",
    "Optimizer": "workers.optimizers.update_rule",
    "LawResult": "analysis.laws.kinds.law_result",
    "example": "pipeline.config.shipped",
    "activation": "workers.networks.custom_activation",
}
_ELSEWHERE = {"Optimizer": "UpdateRule"}  # what a name is called at home
__all__ = [
    "Law",
    "LawResult",
    "Loss",
    "Measurement",
    "Network",
    "Optimizer",
    "Sweep",
    "Variable",
    "activation",
    "analyze",
    "example",
    "open",
    "plan",
    "refine",
    "register",
    "report",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'widesweep' has no attribute {name!r}")
    home = importlib.import_module(f"widesweep.{_HOMES[name]}")
    return getattr(home, _ELSEWHERE.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
