"""The share of training labels that are corrupted: `grid.corrupted_fraction`."""

from __future__ import annotations

from functools import partial
from typing import Any

from widesweep.pipeline.config.axes.axis import Axis, in_grid, of_grid
from widesweep.workers.data import Data
from widesweep.workers.variable import Variable

NAME = "corrupted_fraction"


def _at(config: Any, fraction: float) -> Any:
    config = in_grid(config, NAME, None)
    if config.data is None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={NAME: fraction})})


def _points(data: Data, config: Any) -> Data:
    return data.corrupted(config.data)


AXIS = Axis(
    coordinate=Variable(NAME, (NAME,), "share of the training labels that are corrupted"),
    symbol="corrupted",
    values=partial(of_grid, name=NAME),
    along=lambda config, values: in_grid(config, NAME, values),
    at=_at,
    predictions=frozenset({"target", "residual_norm_predicted"}),
    tables={"steps_predicted": 1},
    points=_points,
)
