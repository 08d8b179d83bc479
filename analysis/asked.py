"""Which cells a refined sweep asks for: the store's root says it, where its arrays cover more."""

from __future__ import annotations

import json
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
import xarray as xr

PENDING = 0
NOT_ASKED = 4  # here alone: a pending cell that the sweep never asked for; the store has 0


def told_apart(group: xr.Dataset, asked: str | None, *, parts: bool) -> xr.Dataset:
    """The group with `status` 4 for pending cells that nobody asked for.

    Args:
        group: /training or /initialization, with `status` as integers.
        asked: the root's attribute `asked`: JSON of `grid`, values by axis, and `parts`, more such grids;
            None: all cells are asked for.
        parts: whether the parts count, as they do for trained cells.

    >>> status = xr.Dataset({"status": ("width", np.zeros(2, dtype=np.int8))}, coords={"width": [8, 16]})
    >>> told_apart(status, '{"grid": {"width": [8]}, "parts": []}', parts=True).status.values
    array([0, 4], dtype=int8)
    """
    if asked is None or "status" not in group:
        return group
    content = json.loads(asked)
    status = group["status"]
    grids = [content["grid"], *(content["parts"] if parts else [])]
    wanted = reduce(lambda one, other: one | other, (_inside(status, grid) for grid in grids))
    told = status.where(wanted | (status != PENDING), NOT_ASKED).astype(np.int8)
    return group.assign(status=told.transpose(*status.dims).assign_attrs(status.attrs))


def _inside(status: xr.DataArray, grid: dict[str, list[Any]]) -> xr.DataArray:
    """Cells whose coordinates are all in a grid; an axis that the grid lacks means all of its values."""
    axes = [status[axis].isin(values) for axis, values in grid.items() if axis in status.dims]
    return reduce(and_, axes, xr.ones_like(status, dtype=bool))
