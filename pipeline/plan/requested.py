"""Which cells of the arrays' grid a sweep asks for: its config's grid, and what refining added to it.

A store's arrays cover a full grid. Until a sweep is refined every cell of it is asked for. Refining asks for
more seeds at some widths and depths alone; the arrays grow to the smallest grid around all of them, and the
attribute `requested` of the root says which cells of that are meant. The others are never computed, and
count as nothing. The same holds for random networks: the arrays have room for the most draws of any pair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws as sampling

ATTRIBUTE = "asked"
NOT_REQUESTED = 4  # stands for "pending, but nobody asked" where states are counted; no store holds it
AXES = ("width", "depth", "output_scale", "corrupted_fraction", "seed", "learning_rate")

Part = tuple[tuple[str, tuple[float, ...]], ...]
Draws = tuple[int, int, int]


@dataclass(frozen=True)
class Requested:
    """A union of grids.

    Attributes:
        grid: the grid that the config asks for, values by axis; random networks are drawn on this one.
        parts: further grids, of trained cells alone; an axis that one lacks means all of its values.
        draws: random networks that the config asks for at each pair of `grid`; 0: none.
        more: (width, depth, draws) of pairs at which refining asks for another number.
    """

    grid: Part
    parts: tuple[Part, ...] = ()
    draws: int = 0
    more: tuple[Draws, ...] = ()

    def mask(self, config: SweepConfig) -> np.ndarray:
        """Which cells are asked for, shape (widths, depths, variants, seeds, learning rates)."""
        axes = values(config)
        found = np.zeros(tuple(len(each) for each in axes.values()), dtype=bool)
        for part in (self.grid, *self.parts):
            found |= _product(dict(part), axes)
        return found

    def pair_draws(self, config: SweepConfig) -> np.ndarray:
        """Random networks that each pair draws, shape (widths, depths); 0: none."""
        axes, grid = values(config), dict(self.grid)
        inside = np.outer(*(np.isin(axes[axis], grid[axis]) for axis in ("width", "depth")))
        found = np.where(inside, self.draws, 0)
        for width, depth, draws in self.more:
            place = axes["width"].index(width), axes["depth"].index(depth)
            found[place] = max(found[place], draws)
        return found

    def with_more(self, parts: tuple[Part, ...], more: tuple[Draws, ...] = ()) -> Requested:
        """The same and more parts, each once, and more draws of some pairs."""
        most = {(width, depth): 0 for width, depth, _ in (*self.more, *more)}
        for width, depth, draws in (*self.more, *more):
            most[width, depth] = max(most[width, depth], draws)
        drawn = tuple((width, depth, draws) for (width, depth), draws in most.items())
        return replace(self, parts=tuple(dict.fromkeys((*self.parts, *parts))), more=drawn)

    def text(self) -> str:
        """As the root's attribute holds it."""
        content = {"grid": dict(self.grid), "parts": [dict(part) for part in self.parts]}
        return json.dumps(content | {"draws": self.draws, "more_draws": self.more})


def of_config(config: SweepConfig) -> Requested:
    """All that a config asks for."""
    axes = values(config)
    if config.variant_axis is None:
        del axes["output_scale"]
    return Requested(part(axes), draws=sampling.draws(config))


def read(attributes: Mapping[str, Any], config: SweepConfig) -> Requested | None:
    """What a store's root says; None where all of its grid is asked for."""
    if ATTRIBUTE not in attributes:
        return None
    content = json.loads(attributes[ATTRIBUTE])
    return Requested(
        part(content["grid"]),
        tuple(part(each) for each in content["parts"]),
        content.get("draws", sampling.draws(config)),  # an older store has as many everywhere
        tuple((width, depth, draws) for width, depth, draws in content.get("more_draws", ())),
    )


def pair_draws(requested: Requested | None, config: SweepConfig) -> np.ndarray:
    """Random networks that each pair draws, shape (widths, depths), in a store that asks for so much."""
    return (requested or of_config(config)).pair_draws(config)


def trained_pairs(requested: Requested | None, config: SweepConfig) -> np.ndarray:
    """Which pairs train, shape (widths, depths)."""
    return np.asarray((requested or of_config(config)).mask(config).any((2, 3, 4)))


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
