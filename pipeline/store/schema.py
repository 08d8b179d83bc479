"""What a store holds, group by group: made from the rooms' own lists of variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from widesweep.pipeline.config.axes import AXES
from widesweep.pipeline.plan.blocks import Plan
from widesweep.pipeline.predict import prediction as predict
from widesweep.pipeline.predict.prediction import Prediction
from widesweep.workers import random_networks
from widesweep.workers.variable import CELL, Variable

SCHEMA_VERSION = 2

LEARNING_RATE_ABSOLUTE = Variable(
    "learning_rate_absolute",
    ("width", "depth", "learning_rate"),
    "step size η on ½ Σ (αf − y)², in absolute units",
    label="learning rate η",
)
FAILURE = "why the cell failed; empty for all others"
FAILURES = {  # a group of their own: texts stay out of `where`, means, sums and data frames
    "training": Variable("training", CELL, FAILURE, dtype="str"),
    "initialization": Variable("initialization", ("width", "depth"), FAILURE, dtype="str"),
    "parts": Variable("parts", ("width", "depth", "part"), FAILURE, dtype="str"),
}
BLOCK_VARIABLES = (
    Variable("block_wall_s", ("block",), "time that a block took in its worker", "s"),
    Variable("block_core_s", ("block",), "core time of a block's last attempt; on a GPU, wall time", "s"),
    Variable("block_cells", ("block",), "cells that this attempt computed", dtype="int32"),
    Variable("block_attempts", ("block",), "times that a block was started", dtype="int32"),
    Variable(
        "block_device",
        ("block",),
        "what a block's last attempt ran on",
        dtype="int8",
        attributes={"flag_values": [0, 1, 2], "flag_meanings": "none cpu cuda"},
    ),
)
_COORDINATES = {
    "width": "neurons in every hidden layer",
    "depth": "hidden layers",
    "seed": "seed of the cell",
    "learning_rate": "learning rate as in the config",
    "step": "gradient steps taken",
    "layer": "layer, 1 to depth hidden, depth + 1 the output",
    "mode": "eigenvector of the kernel over samples and outputs, largest eigenvalue first",
    "prediction": "test point and output, sample-major, from 1",
    "output": "output of the network: a class, or its place",
    "order": "order of the cumulant",
    "part": "part of the draws, keyed by its number",
    "group": "group of draws that the jackknife leaves out",
    "point": "row of the source that the input is",
    "point_other": "row of the other input",
    **{f"{name}_statistic": f"place of a statistic of {name}" for name in random_networks.STATISTICS},
    "sample": "row of the source that the training point is",
    "sample_other": "row of the source of the other point",
}
COORDINATES = {
    name: Variable(
        name, (name,), meaning, dtype="float64" if name == "learning_rate" else "int64",
        label="statistic" if name.endswith("_statistic") else "",
    )
    for name, meaning in _COORDINATES.items()
}  # fmt: skip


@dataclass(frozen=True)
class Array:
    """One array of the template.

    Attributes:
        variable: name, dimensions, meaning.
        shape: its length along each dimension.
        chunks: length of a chunk along each dimension.
        values: written with the template; None for what blocks fill in.
    """

    variable: Variable
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    values: np.ndarray | None = None


@dataclass(frozen=True)
class Group:
    """One group of the template: its arrays and attributes."""

    arrays: list[Array]
    attributes: dict[str, Any] = field(default_factory=dict)


def groups(plan: Plan, prediction: Prediction, index: np.ndarray) -> dict[str, Group]:
    """Every group that exists before the first block runs.

    Args:
        plan: fixes the chunks.
        prediction: what /theory holds.
        index: rows of the source that the training points are, shape (samples,).
    """
    values = _coordinate_values(plan, index)
    config, lengths = plan.config, _one_block(plan)
    measured: dict[str, tuple[Variable, ...]] = {}
    if config.training is not None:
        measured["training"] = config.training.variables
    if config.initialization is not None:
        measured["initialization"] = random_networks.variables(config.initialization)
        measured["parts"] = random_networks.part_variables(config.initialization)
    measured["failures"] = tuple(FAILURES[name] for name in measured)
    result = {"theory": _theory(plan, prediction, values), "run": _run(plan)}
    for name, variables in measured.items():
        arrays = [_measured(_on_grid(variable, plan), values, lengths) for variable in variables]
        if name == "training":  # η is known, and in one chunk
            arrays.append(_written(_on_grid(LEARNING_RATE_ABSOLUTE, plan), prediction.learning_rate_absolute))
        result[name] = Group(_coordinates(arrays, values) + arrays)
    return result


def paths(groups: Mapping[str, Group]) -> list[str]:
    """Paths of all arrays."""
    return [f"{name}/{array.variable.name}" for name, group in groups.items() for array in group.arrays]


def _coordinate_values(plan: Plan, index: np.ndarray) -> dict[str, np.ndarray]:
    config = plan.config
    values: dict[str, Any] = {"width": config.grid.width, "depth": config.grid.depth}
    values |= {"sample": index, "sample_other": index}
    classes = config.data.classes if config.data is not None else None
    values["output"] = classes or range(plan.size.outputs)
    if config.training is not None:
        values |= {"seed": config.grid.seeds, "learning_rate": config.grid.learning_rates}
        values |= {"step": config.training.recorded_steps(), "layer": range(1, max(config.grid.depth) + 2)}
        values["mode"] = range(1, plan.size.samples * plan.size.outputs + 1)
        values["prediction"] = range(1, plan.size.test_samples * plan.size.outputs + 1)
        values |= {axis.name: axis.values(config) for axis in config.axes}
    if config.initialization is not None:
        values |= _initialization_values(plan, index)
    return {name: np.array(list(each), dtype=_coordinate(name).dtype) for name, each in values.items()}


def _on_grid(variable: Variable, plan: Plan) -> Variable:
    """The variable along the grid's further axes too, if it is one of cells."""
    for axis in reversed(plan.config.axes if "learning_rate" in variable.dims else ()):
        variable = variable.along(axis.name, after="depth")
    return variable


def _one_block(plan: Plan) -> dict[str, int]:
    """Length of a block along the axes that blocks divide."""
    lengths = {"width": 1, "depth": 1, **{axis.name: 1 for axis in plan.config.axes}}
    if plan.config.training is not None:
        lengths |= {"seed": plan.seeds_per_block, "learning_rate": plan.rates_per_block}
    if plan.config.initialization is not None:
        lengths["part"] = plan.parts_per_block
    return lengths


def _initialization_values(plan: Plan, index: np.ndarray) -> dict[str, Any]:
    settings = plan.config.initialization
    assert settings is not None
    values: dict[str, Any] = {"order": settings.orders, "part": range(plan.parts)}
    values["group"] = range(random_networks.GROUPS)
    for name in settings.measure:
        statistics = random_networks.STATISTICS[name].statistics(settings)
        values[f"{name}_statistic"] = range(statistics)
    if "joint_cumulants" in settings.measure:
        values["point"] = values["point_other"] = index[list(settings.points)]
    return values


def _theory(plan: Plan, prediction: Prediction, values: dict[str, np.ndarray]) -> Group:
    arrays = []
    for variable in predict.variables(plan.config):
        if variable.name in prediction.values:
            if variable.name == "target" and plan.size.outputs > 1:
                variable = variable.along("output", after="sample")
            if variable.name in prediction.kinds:
                attributes = {**variable.attributes, "approximation": prediction.kinds[variable.name]}
                variable = replace(variable, attributes=attributes)
            arrays.append(_written(variable, prediction.values[variable.name]))
    inputs = plan.config.network.first_fan_in(plan.size.inputs)
    attributes = {"inputs": inputs} if plan.config.data is not None else {}
    return Group(_coordinates(arrays, values) + arrays, attributes)


def _run(plan: Plan) -> Group:
    blocks = max(1, len(plan))
    arrays = [Array(variable, (len(plan),), (blocks,)) for variable in BLOCK_VARIABLES]
    return Group(arrays)


def _measured(variable: Variable, values: dict[str, np.ndarray], block: dict[str, int]) -> Array:
    shape = tuple(len(values[dim]) for dim in variable.dims)
    chunks = tuple(block.get(dim, len(values[dim])) for dim in variable.dims)
    return Array(variable, shape, chunks)


def _written(variable: Variable, values: np.ndarray) -> Array:
    return Array(variable, values.shape, tuple(max(1, length) for length in values.shape), values)


def _coordinates(arrays: list[Array], values: dict[str, np.ndarray]) -> list[Array]:
    """The coordinates of every dimension that the arrays have."""
    dims = dict.fromkeys(dim for array in arrays for dim in array.variable.dims)
    return [_written(_coordinate(dim), values[dim]) for dim in dims]


def _coordinate(name: str) -> Variable:
    if name not in AXES:
        return COORDINATES[name]
    axis = AXES[name]
    return replace(axis.coordinate, attributes=axis.coordinate.attributes | {"symbol": axis.symbol})
