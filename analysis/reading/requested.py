"""Which cells a refined sweep asks for: the store's root says it, where its arrays cover more."""

from __future__ import annotations

import json
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
import xarray as xr

PENDING = 0
NOT_REQUESTED = 4  # here alone: a pending cell that the sweep never asked for; the store has 0


def told_apart(group: xr.Dataset, requested: str | None, *, parts: bool) -> xr.Dataset:
    """The group with `status` 4 for pending cells that nobody asked for, of /training where any was asked.

    Args:
        group: /training or /initialization, with `status` as integers.
        asked: the root's attribute `requested`: JSON of `grid`, values by axis, `parts`, more such grids of
            trained cells, and `more_draws`, [width, depth, draws] of random networks; None: all is asked for.
        parts: whether `parts` count, as they do for trained cells; else `more_draws` do. Widths and depths at
            which nothing trains are then left out: laws must not look for the deepest networks there.

    >>> status = xr.Dataset({"status": ("width", np.zeros(2, dtype=np.int8))}, coords={"width": [8, 16]})
    >>> told_apart(status, '{"grid": {"width": [8]}, "parts": []}', parts=True).status.values
    array([0], dtype=int8)
    """
    if requested is None or "status" not in group:
        return group
    content = json.loads(requested)
    status = group["status"]
    drawn = [{"width": [width], "depth": [depth]} for width, depth, _ in content.get("more_draws", ())]
    grids = [content["grid"], *(content["parts"] if parts else drawn)]
    wanted = reduce(lambda one, other: one | other, (_inside(status, grid) for grid in grids))
    told = status.where(wanted | (status != PENDING), NOT_REQUESTED).astype(np.int8)
    group = group.assign(status=told.transpose(*status.dims).assign_attrs(status.attrs))
    return group.isel(_trained(wanted)) if parts else group


def _trained(wanted: xr.DataArray) -> dict[str, np.ndarray]:
    """Places along width and depth at which any cell is asked for."""
    axes = [axis for axis in ("width", "depth") if axis in wanted.dims]
    others = {axis: [dim for dim in wanted.dims if dim != axis] for axis in axes}
    return {axis: np.flatnonzero(wanted.any(others[axis]).values) for axis in axes}


def _inside(status: xr.DataArray, grid: dict[str, list[Any]]) -> xr.DataArray:
    """Cells whose coordinates are all in a grid; an axis that the grid lacks means all of its values."""
    axes = [status[axis].isin(values) for axis, values in grid.items() if axis in status.dims]
    return reduce(and_, axes, xr.DataArray(np.ones(status.shape, dtype=bool), status.coords, status.dims))
