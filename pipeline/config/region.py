"""Which cells of the arrays' grid a sweep requests: a union of products of axis values.

A store's arrays cover a full grid. Until a sweep is refined every cell of it is requested. Refining requests
more seeds at some widths and depths alone; the arrays grow to the smallest grid around all of them. The
others are never computed, and count as nothing. The same holds for random networks: the arrays have room for
the most draws of any pair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widesweep.pipeline.config.axes import names

Axes = Mapping[str, Sequence[Any]]
Part = tuple[tuple[str, tuple[float, ...]], ...]
Draws = tuple[int, int, int]


@dataclass(frozen=True)
class Requested:
    """A union of grids.

    Attributes:
        grid: the grid that the config requests, values by axis; random networks are drawn on this one.
        parts: further grids, of trained cells alone; an axis that one lacks means all of its values.
        draws: random networks that the config requests at each pair of `grid`; 0: none.
        more: (width, depth, draws) of pairs at which refining requests another number.
    """

    grid: Part
    parts: tuple[Part, ...] = ()
    draws: int = 0
    more: tuple[Draws, ...] = ()

    def mask(self, axes: Axes) -> np.ndarray:
        """Which cells are requested, of the shape that the axes span.

        >>> Requested(part({"width": [8], "seed": [0, 1]})).mask({"width": [8, 16], "seed": [0, 1, 2]})
        array([[ True,  True, False],
               [False, False, False]])
        """
        found = np.zeros(tuple(len(each) for each in axes.values()), dtype=bool)
        for each in (self.grid, *self.parts):
            found |= _product(dict(each), axes)
        return found

    def pair_draws(self, axes: Axes) -> np.ndarray:
        """Random networks that each pair draws, shape (widths, depths); 0: none."""
        grid, widths, depths = dict(self.grid), list(axes["width"]), list(axes["depth"])
        inside = np.outer(np.isin(widths, grid["width"]), np.isin(depths, grid["depth"]))
        found = np.where(inside, self.draws, 0)
        for width, depth, draws in self.more:
            place = widths.index(width), depths.index(depth)
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
        content = {"grid": dict(self.grid), "parts": [dict(each) for each in self.parts]}
        return json.dumps(content | {"draws": self.draws, "more_draws": self.more})


def part(axes: Axes) -> Part:
    """A grid from its values by axis.

    >>> part({"width": [64], "seed": [8, 9]})
    (('width', (64,)), ('seed', (8, 9)))
    """
    return tuple((axis, tuple(axes[axis])) for axis in names() if axis in axes)


def _product(wanted: Mapping[str, tuple[float, ...]], axes: Axes) -> np.ndarray:
    """Cells of a grid inside another one."""
    found = np.ones((1,) * len(axes), dtype=bool)
    for place, (axis, there) in enumerate(axes.items()):
        inside = np.isin(there, wanted.get(axis, there))
        found = found & np.expand_dims(inside, tuple(i for i in range(len(axes)) if i != place))
    return found
