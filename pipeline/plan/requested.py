"""What a config, or a store that has been refined, requests of its grid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from widesweep.pipeline.config.region import Requested, part
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws as sampling

ATTRIBUTE = "requested"


def of_config(config: SweepConfig) -> Requested:
    """All that a config requests."""
    return Requested(part(values(config)), draws=sampling.draws(config))


def read(attributes: Mapping[str, Any]) -> Requested | None:
    """What a store's root says; None where all of its grid is requested."""
    if ATTRIBUTE not in attributes:
        return None
    content = json.loads(attributes[ATTRIBUTE])
    return Requested(
        part(content["grid"]),
        tuple(part(each) for each in content["parts"]),
        content["draws"],
        tuple((width, depth, draws) for width, depth, draws in content["more_draws"]),
    )


def mask(requested: Requested | None, config: SweepConfig) -> np.ndarray:
    """Which cells are requested, of the shape of `values`."""
    return (requested or of_config(config)).mask(values(config))


def pair_draws(requested: Requested | None, config: SweepConfig) -> np.ndarray:
    """Random networks that each pair draws, shape (widths, depths)."""
    return (requested or of_config(config)).pair_draws(values(config))


def trained_pairs(requested: Requested | None, config: SweepConfig) -> np.ndarray:
    """Which pairs train, shape (widths, depths)."""
    return np.asarray(trained_cells(requested, config).any((2, 3)))


def trained_cells(requested: Requested | None, config: SweepConfig) -> np.ndarray:
    """Which cells train at any point of the further axes, shape (widths, depths, seeds, learning rates)."""
    cells = mask(requested, config)
    return np.asarray(cells.any(tuple(range(2, cells.ndim - 2))))


def values(config: SweepConfig) -> dict[str, list[Any]]:
    """The values of each axis of a config's grid, outermost first."""
    grid = config.grid
    return {
        "width": list(grid.width),
        "depth": list(grid.depth),
        **{axis.name: list(axis.values(config)) for axis in config.axes},
        "seed": list(grid.seeds),
        "learning_rate": list(grid.learning_rates),
    }
