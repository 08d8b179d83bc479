"""Everything that was measured, at the last record: one row a variable, narrowest width beside widest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

MOST_SEEDS = 16
NOT_SHOWN = ("status", "learning_rate_absolute")
DONE = 1


@dataclass(frozen=True)
class Row:
    """A variable: its name, its meaning, and its median over the finished cells of a width."""

    name: str
    meaning: str
    narrowest: str
    widest: str


def rows(training: xr.Dataset) -> list[Row]:
    """A row for each variable of /training that has a value.

    Args:
        training: the group; at most 16 seeds are read.
    """
    if "status" not in training or "width" not in training.dims:
        return []
    few = training.isel(seed=slice(0, MOST_SEEDS)) if "seed" in training.dims else training
    if few.sizes.get("step"):
        few = few.isel(step=-1)
    return list(_rows(few))


def _rows(cells: xr.Dataset) -> Iterator[Row]:
    ends = (cells.isel(width=0), cells.isel(width=-1))
    for name, array in cells.data_vars.items():
        if name in NOT_SHOWN or array.dtype.kind not in "fiu":
            continue
        values = [_median(end, str(name)) for end in ends]
        if any(np.isfinite(values)):
            meaning = str(array.attrs.get("description", array.attrs.get("long_name", "")))
            yield Row(str(name), meaning, *(f"{v:.4g}" if np.isfinite(v) else "none" for v in values))


def _median(cells: xr.Dataset, name: str) -> float:
    values = cells[name].where(cells.status == DONE).values
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
