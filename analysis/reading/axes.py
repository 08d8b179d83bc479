"""Axes of a sweep beside width, depth, seed and learning rate, as laws that know nothing of them see them.

The store says which there are: the dimensions of `status`. Their coordinate's attribute `symbol` is what a
legend calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import xarray as xr

from widesweep.analysis.reading.cell_summary import CELL, CellSummary

RATE = "learning_rate"


def further_axes(cells: xr.Dataset | None) -> tuple[str, ...]:
    """The axes of the sweep beside the four that every sweep has, outermost first; those pooled are none.

    >>> further_axes(xr.Dataset({"status": (("width", "output_scale", "seed"), np.ones((1, 2, 1)))}))
    ('output_scale',)
    """
    if cells is None or "status" not in cells:
        return ()
    return tuple(str(dim) for dim in cells["status"].dims if dim not in CELL)


def pooled(summary: CellSummary, kept: str = "") -> CellSummary:
    """The same evidence with each pair of variant and learning rate as one entry along `learning_rate`.

    A variant is one value of every further axis. Networks of one seed start from the same weights in all
    variants, as they do at every learning rate: a law that gives each learning rate its own amplitude, and
    resamples seeds with all their rates together, then treats variants as it should. Their coordinates stay,
    beside `learning_rate`.

    Args:
        summary: the sweep reduced to a few numbers per cell.
        kept: an axis that stays one.

    >>> coordinates = {"output_scale": [1.0, 2.0, 4.0], "learning_rate": [0.5, 1.0]}
    >>> cells = xr.Dataset({"status": (("output_scale", "learning_rate"), np.eye(3, 2))}, coordinates)
    >>> pooled(CellSummary({}, cells, None, None, xr.Dataset())).cells["output_scale"].values
    array([1., 1., 2., 2., 4., 4.])
    """
    axes = [axis for axis in further_axes(summary.cells) if axis != kept]
    if summary.cells is None or not axes:
        return summary
    values = {axis: summary.cells[axis] for axis in axes}
    return _each(summary, lambda group: _folded(group, values))


def apart(summary: CellSummary) -> list[tuple[str, CellSummary]]:
    """The sweep of each variant with what its laws' names get, such as "@output_scale=0.1".

    Returns:
        One pair with an empty text where there is one variant.

    >>> scales = ("output_scale", [1.0, 0.5])
    >>> cells = xr.Dataset({"status": scales}, coords={"output_scale": scales})
    >>> [name for name, _ in apart(CellSummary({}, cells, None, None, xr.Dataset()))]
    ['@output_scale=1', '@output_scale=0.5']
    """
    cells, axes = summary.cells, further_axes(summary.cells)
    if cells is None or all(cells.sizes[axis] < 2 for axis in axes):
        return [("", pooled(summary))]
    found = []
    for places in product(*(range(cells.sizes[axis]) for axis in axes)):
        place = dict(zip(axes, places, strict=True))
        names = [f"{axis}={cells[axis].values[at]:g}" for axis, at in place.items() if cells.sizes[axis] > 1]
        found.append(("@" + ",".join(names), _each(summary, partial(_at, place=place))))
    return found


def spoken(cells: xr.Dataset | None) -> str:
    """How many values the further axes have, in words, pooled or not; empty where each has one.

    >>> fractions = ("corrupted_fraction", [0.0, 0.5])
    >>> spoken(xr.Dataset({"status": fractions}, coords={"corrupted_fraction": fractions}))
    '2 values of corrupted_fraction'
    """
    counts = {axis: len(np.unique(values)) for axis, values in _values(cells).items()}
    return " and ".join(f"{count} values of {axis}" for axis, count in counts.items() if count > 1)


def along_rates(cells: xr.Dataset) -> tuple[tuple[str, np.ndarray], ...]:
    """Symbol and values of the variants along `learning_rate`, once pooled; nothing where there is one.

    >>> scales = xr.DataArray([1.0, 2.0], dims="learning_rate", attrs={"symbol": "α"})
    >>> along_rates(xr.Dataset(coords={"output_scale": scales}))
    (('α', array([1., 2.])),)
    """
    return tuple(
        (str(values.attrs.get("symbol", axis)), np.asarray(values.values))
        for axis, values in _beside_rates(cells).items()
        if len(np.unique(values)) > 1
    )


def _values(cells: xr.Dataset | None) -> dict[str, xr.DataArray]:
    """By axis, those that were pooled included."""
    if cells is None:
        return {}
    return {axis: cells[axis] for axis in further_axes(cells)} | _beside_rates(cells)


def _beside_rates(cells: xr.Dataset) -> dict[str, xr.DataArray]:
    return {str(name): each for name, each in cells.coords.items() if name != RATE and each.dims == (RATE,)}


def _each(summary: CellSummary, change: Callable[[xr.Dataset], xr.Dataset]) -> CellSummary:
    """The summary with what lies over the grid changed."""
    cells, fits = (None if each is None else change(each) for each in (summary.cells, summary.fits))
    return replace(summary, cells=cells, fits=fits, theory=change(summary.theory))


def _at(dataset: xr.Dataset, place: dict[str, int]) -> xr.Dataset:
    return dataset.isel({axis: at for axis, at in place.items() if axis in dataset.dims}, drop=True)


def _folded(dataset: xr.Dataset, values: dict[str, xr.DataArray]) -> xr.Dataset:
    """What lacks one of the axes, such as λ, is repeated along it."""
    if RATE not in dataset.dims:
        return dataset
    whole = dataset.assign_coords({axis: v for axis, v in values.items() if axis not in dataset.dims})
    return whole.stack(pair=(*values, RATE), create_index=False).swap_dims(pair=RATE)
