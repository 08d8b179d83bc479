"""Which cells of the arrays' grid a sweep asks for: its config's grid, and what refining added to it.

A store's arrays cover a full grid. Until a sweep is refined every cell of it is asked for. Refining asks for
more seeds at some widths and depths alone; the arrays grow to the smallest grid around all of them, and the
root's attribute `asked` says which cells of that are meant. The others stay pending, are never computed, and
count as nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config import SweepConfig

ATTRIBUTE = "asked"
NOT_ASKED = 4  # stands for "pending, but nobody asked" where states are counted; no store holds it
AXES = ("width", "depth", "output_scale", "corrupted_fraction", "seed", "learning_rate")

Part = tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Asked:
    """A union of grids.

    Attributes:
        grid: the grid that the config asks for, values by axis; random networks are drawn on this one.
        parts: further grids, of trained cells alone; an axis that one lacks means all of its values.
    """

    grid: Part
    parts: tuple[Part, ...] = ()

    def mask(self, config: SweepConfig) -> np.ndarray:
        """Which cells are asked for, shape (widths, depths, variants, seeds, learning rates)."""
        axes = values(config)
        found = np.zeros(tuple(len(each) for each in axes.values()), dtype=bool)
        for part in (self.grid, *self.parts):
            found |= _product(dict(part), axes)
        return found

    def pairs(self, config: SweepConfig) -> np.ndarray:
        """Which pairs of width and depth draw random networks, shape (widths, depths)."""
        axes, grid = values(config), dict(self.grid)
        return np.outer(*(np.isin(axes[axis], grid[axis]) for axis in ("width", "depth")))

    def with_parts(self, parts: tuple[Part, ...]) -> Asked:
        """The same and more parts, each once."""
        return Asked(self.grid, tuple(dict.fromkeys((*self.parts, *parts))))

    def text(self) -> str:
        """As the root's attribute holds it."""
        return json.dumps({"grid": dict(self.grid), "parts": [dict(part) for part in self.parts]})


def of_config(config: SweepConfig) -> Asked:
    """All that a config asks for."""
    axes = values(config)
    if config.variant_axis is None:
        del axes["output_scale"]
    return Asked(part(axes))


def read(attributes: Mapping[str, Any]) -> Asked | None:
    """What a store's root says; None where all of its grid is asked for."""
    if ATTRIBUTE not in attributes:
        return None
    content = json.loads(attributes[ATTRIBUTE])
    return Asked(part(content["grid"]), tuple(part(each) for each in content["parts"]))


def part(axes: Mapping[str, Any]) -> Part:
    """A grid from its values by axis.

    >>> part({"width": [64], "seed": [8, 9]})
    (('width', (64,)), ('seed', (8, 9)))
    """
    return tuple((axis, tuple(axes[axis])) for axis in AXES if axis in axes)


def values(config: SweepConfig) -> dict[str, list[Any]]:
    """The values of each axis of a config's grid, outermost first; one α where there are no variants."""
    grid, variants = config.grid, config.variant_axis or "output_scale"
    return {
        "width": list(grid.width),
        "depth": list(grid.depth),
        variants: list(config.variants),
        "seed": list(grid.seeds),
        "learning_rate": list(grid.learning_rates),
    }


def _product(wanted: dict[str, tuple[float, ...]], axes: dict[str, list[Any]]) -> np.ndarray:
    """Cells of a grid inside another one."""
    found = np.ones((1,) * len(axes), dtype=bool)
    for place, (axis, there) in enumerate(axes.items()):
        inside = np.isin(there, wanted.get(axis, there))
        found = found & np.expand_dims(inside, tuple(i for i in range(len(axes)) if i != place))
    return found
