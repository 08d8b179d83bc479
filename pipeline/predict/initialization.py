"""What theory says of the random networks of a config: each measurement's own predictions, on the grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws
from widesweep.workers import random_networks
from widesweep.workers.variable import Variable


def variables(config: SweepConfig) -> tuple[Variable, ...]:
    """What /theory holds beside the chosen measurements."""
    return random_networks.predicted(config.initialization) if config.initialization is not None else ()


def predict(config: SweepConfig, x: np.ndarray | None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Predictions over (width, depth, …) by name, and how each was made: "exact", "leading order", ….

    Args:
        config: the sweep.
        x: training points, shape (n, d), or None.
    """
    values: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}
    if config.initialization is None:
        return values, kinds
    for name in config.initialization.measure:
        rows = [
            [
                random_networks.STATISTICS[name].predict(draws.block(config, width, depth, x).case)
                for depth in config.grid.depth
            ]
            for width in config.grid.width
        ]
        for key, (_, kind) in rows[0][0].items():
            kinds[key] = kind
            values[key] = np.array([[cell[key][0] for cell in row] for row in rows])
    return values, kinds


def summary(config: SweepConfig, values: dict[str, np.ndarray], kinds: dict[str, str]) -> dict[str, Any]:
    """What `theory --json` prints of it: by width and depth, cumulants by order too; NaN is null."""
    result: dict[str, Any] = {}
    if config.initialization is None:
        return result
    depths = [str(depth) for depth in config.grid.depth]
    orders = [str(order) for order in config.initialization.orders]
    for name in kinds:
        rows = plain(values[name])
        if name == "cumulant_predicted":
            rows = [[dict(zip(orders, cell, strict=True)) for cell in row] for row in rows]
            result["approximation"] = kinds[name]
        result[name] = {
            str(width): dict(zip(depths, row, strict=True))
            for width, row in zip(config.grid.width, rows, strict=True)
        }
    return result


def plain(array: np.ndarray) -> Any:
    """Nested lists of numbers; what is not finite is None.

    >>> plain(np.array([[1.0, np.nan]]))
    [[1.0, None]]
    """
    return (
        [plain(row) for row in array]
        if array.ndim > 1
        else [float(v) if np.isfinite(v) else None for v in array]
    )
