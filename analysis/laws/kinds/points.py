"""What each point of a figure is of: its width, depth, η and seeds, for the report's list of points."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.reading.axes import along_rates

Array = NDArray[np.float64]
Coordinates = tuple[tuple[str, Array], ...]
Axis = tuple[tuple[str, Array], ...]  # what is known along one axis of a grid


def coordinates(shown: NDArray[np.bool_], *axes: Axis) -> Coordinates:
    """The coordinates of the points that are shown, flat, in the order of `shown`.

    Args:
        shown: which entries of a grid have a point.
        axes: for each axis of the grid, pairs (name, values along it).

    Returns:
        Pairs (name, values), each of shape (points,).

    >>> shown = np.array([[True, False], [True, True]])
    >>> coordinates(shown, (("width", np.array([8.0, 16.0])),), (("η", np.array([0.5, 1.0])),))
    (('width', array([ 8., 16., 16.])), ('η', array([0.5, 0.5, 1. ])))
    """
    return tuple(
        (name, np.asarray(values, dtype=np.float64)[where])
        for axis, where in zip(axes, np.nonzero(shown), strict=True)
        for name, values in axis
    )


def constant(name: str, value: float, points: int) -> tuple[str, Array]:
    """A coordinate that all points of a series share.

    >>> constant("depth", 2, 3)
    ('depth', array([2., 2., 2.]))
    """
    return name, np.full(points, float(value))


def rate_axis(cells: xr.Dataset) -> Axis:
    """Along `learning_rate`: the variant where the sweep has several, and η as the config gives it.

    >>> rate_axis(xr.Dataset(coords={"learning_rate": [0.5, 1.0]}))
    (('η', array([0.5, 1. ])),)
    """
    return (*along_rates(cells), ("η", np.asarray(cells["learning_rate"].values)))


def rate_point(cells: xr.Dataset, place: int) -> tuple[tuple[str, float], ...]:
    """One entry of `rate_axis`.

    >>> rate_point(xr.Dataset(coords={"learning_rate": [0.5, 1.0]}), 1)
    (('η', 1.0),)
    """
    return tuple((name, float(values[place])) for name, values in rate_axis(cells))


def rate_labels(cells: xr.Dataset) -> list[str]:
    """What tells the entries along `learning_rate` apart; nothing where there is one.

    >>> rate_labels(xr.Dataset(coords={"learning_rate": [0.5, 1.0]}))
    [', η = 0.5', ', η = 1']
    """
    parts = [[f"{symbol} = {v:g}" for v in values] for symbol, values in rate_axis(cells)]
    told = [part for part in parts if len(set(part)) > 1]
    return ["".join(f", {part[i]}" for part in told) for i in range(len(parts[-1]))]


def cell_axes(cells: xr.Dataset, depth: float) -> tuple[Axis, Axis, Axis]:
    """Along (width, seed, learning_rate) at one depth.

    >>> grid = xr.Dataset(coords={"width": [8], "seed": [0], "learning_rate": [1.0]})
    >>> [name for axis in cell_axes(grid, 2) for name, _ in axis]
    ['width', 'depth', 'seed', 'η']
    """
    widths = np.asarray(cells["width"].values)
    seeds = np.asarray(cells["seed"].values)
    return (("width", widths), constant("depth", depth, len(widths))), (("seed", seeds),), rate_axis(cells)
