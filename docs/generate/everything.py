"""A sweep that measures all there is and in which nothing has run: its store's template, in memory."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import xarray as xr

from widesweep.analysis.laws import VARIABLES
from widesweep.analysis.reading.cell_summary import CellSummary, gather
from widesweep.pipeline.config.sweep_config import SweepConfig, SweepFile
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.store import schema
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.random_networks import STATISTICS

WIDTHS, DEPTHS, SAMPLES = (8, 16, 32), (1, 2, 3), 4


@functools.cache
def config() -> SweepConfig:
    """Every measurement of `training.measure` and `initialization.measure`, on a small grid."""
    return SweepConfig.model_validate(
        {
            "name": "everything",
            "store": "everything.zarr",
            "network": {"kind": "fully_connected"},
            "data": {"source": "digits", "samples": SAMPLES, "test_samples": 2},
            "grid": {"width": WIDTHS, "depth": DEPTHS, "seed": 2, "learning_rate": (1.0,)},
            "training": {"steps": 10, "records": 4, "measure": tuple(MEASUREMENTS)},
            "initialization": {"draws": 1000, "measure": tuple(STATISTICS)},
        }
    )


@functools.cache
def template() -> xr.DataTree:
    """The groups that exist before the first block runs, every value of a block at its fill value."""
    sweep = SweepFile(config(), "everything.yaml", Path())
    data = data_source.load_data(sweep)
    assert data is not None
    plan = data_source.make_plan(sweep, cores=1)
    groups = schema.groups(plan, prediction.predict(config(), data), data.index)
    tree = xr.DataTree(xr.Dataset(attrs={"config": config().json_text()}))
    for name, group in groups.items():
        arrays = {array.variable.name: _filled(array) for array in group.arrays}
        tree[name] = xr.DataTree(xr.Dataset(arrays))
    return tree


def _filled(array: schema.Array) -> xr.Variable:
    variable = array.variable
    attributes = variable.stored_attributes
    if array.values is not None:
        return xr.Variable(variable.dims, array.values, attributes)
    if variable.dtype == "str":
        return xr.Variable(variable.dims, np.full(array.shape, "", dtype=object), attributes)
    return xr.Variable(variable.dims, np.full(array.shape, variable.fill_value, variable.dtype), attributes)


@functools.cache
def summary() -> CellSummary:
    """What laws see of the template: every cell pending."""
    return gather(template(), VARIABLES)
