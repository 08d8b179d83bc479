"""α, which multiplies the network: a list of `network.output_scale`."""

from __future__ import annotations

from typing import Any

from widesweep.pipeline.config.axes.axis import Axis
from widesweep.workers.variable import Variable


def _values(config: Any) -> tuple[float, ...]:
    return config.network.output_scales or ()


def _with_scale(config: Any, scale: float | tuple[float, ...]) -> Any:
    return config.model_copy(update={"network": config.network.at_scale(scale)})


_OF_DEPTH = ("lambda_min", "lambda_max", "lambda_rounding_error", "critical_learning_rate")
_OF_RATE = ("rate_predicted", "residual_norm_predicted")

AXIS = Axis(
    coordinate=Variable("output_scale", ("output_scale",), "α, which multiplies the network"),
    symbol="α",
    values=_values,
    along=_with_scale,
    at=_with_scale,
    predictions=frozenset({"infinite_ntk", "infinite_nngp", *_OF_DEPTH, *_OF_RATE}),
    tables={
        **dict.fromkeys((*_OF_DEPTH, "rate_predicted", "steps_predicted"), 1),
        "learning_rate_absolute": 2,
    },
)
