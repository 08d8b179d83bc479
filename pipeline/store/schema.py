"""What a store holds, group by group: made from the rooms' own lists of variables."""

from __future__ import annotations

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
COORDINATES = {
    "width": Variable("width", ("width",), "neurons in every hidden layer", dtype="int64"),
    "depth": Variable("depth", ("depth",), "hidden layers", dtype="int64"),
    "seed": Variable("seed", ("seed",), "seed of the cell", dtype="int64"),
    "learning_rate": Variable("learning_rate", ("learning_rate",), "learning rate as in the config"),
    "step": Variable("step", ("step",), "gradient steps taken", dtype="int64"),
    "layer": Variable("layer", ("layer",), "layer, 1 to depth hidden, depth + 1 the output", dtype="int64"),
    "mode": Variable(
        "mode",
        ("mode",),
        "eigenvector of the kernel over samples and outputs, largest eigenvalue first",
        dtype="int64",
    ),
    "prediction": Variable(
        "prediction", ("prediction",), "test point and output, sample-major, from 1", dtype="int64"
    ),
    "output": Variable("output", ("output",), "output of the network: a class, or its place", dtype="int64"),
    "order": Variable("order", ("order",), "order of the cumulant", dtype="int64"),
    "part": Variable("part", ("part",), "part of the draws, keyed by its number", dtype="int64"),
    "group": Variable("group", ("group",), "group of draws that the jackknife leaves out", dtype="int64"),
    "point": Variable("point", ("point",), "row of the source that the input is", dtype="int64"),
    "point_other": Variable("point_other", ("point_other",), "row of the other input", dtype="int64"),
    **{
        f"{name}_statistic": Variable(
            f"{name}_statistic",
            (f"{name}_statistic",),
            f"place of a statistic of {name}",
            dtype="int64",
            label="statistic",
        )
        for name in random_networks.STATISTICS
    },
    "sample": Variable("sample", ("sample",), "row of the source that the training point is", dtype="int64"),
    "sample_other": Variable(
        "sample_other", ("sample_other",), "row of the source of the other point", dtype="int64"
    ),
}


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
    result = {"theory": _theory(plan, prediction, values), "run": _run(plan)}
    if plan.config.training is not None:
        result["training"] = _training(plan, prediction, values)
    if plan.config.initialization is not None:
        result["initialization"] = _initialization(plan, values)
        result["parts"] = _parts(plan, values)
    result["failures"] = _failures(plan, values, set(result))
    return result


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


def _training(plan: Plan, prediction: Prediction, values: dict[str, np.ndarray]) -> Group:
    """Measured arrays in chunks of one block, and η in one chunk."""
    assert plan.config.training is not None
    measured = [_on_grid(variable, plan) for variable in plan.config.training.variables]
    arrays = [_measured(variable, values, _one_block(plan)) for variable in measured]
    arrays.append(_written(_on_grid(LEARNING_RATE_ABSOLUTE, plan), prediction.learning_rate_absolute))
    return Group(_coordinates(arrays, values) + arrays)


def _on_grid(variable: Variable, plan: Plan) -> Variable:
    """The variable along the grid's further axes too."""
    for axis in reversed(plan.config.axes):
        variable = variable.along(axis.name, after="depth")
    return variable


def _initialization(plan: Plan, values: dict[str, np.ndarray]) -> Group:
    assert plan.config.initialization is not None
    one_block = {"width": 1, "depth": 1}
    variables = random_networks.variables(plan.config.initialization)
    arrays = [_measured(variable, values, one_block) for variable in variables]
    return Group(_coordinates(arrays, values) + arrays)


def _parts(plan: Plan, values: dict[str, np.ndarray]) -> Group:
    """Sums over draws, in chunks of one block: what /initialization is made of."""
    assert plan.config.initialization is not None
    variables = random_networks.part_variables(plan.config.initialization)
    arrays = [_measured(variable, values, _one_block(plan)) for variable in variables]
    return Group(_coordinates(arrays, values) + arrays)


def _failures(plan: Plan, values: dict[str, np.ndarray], groups: set[str]) -> Group:
    """Why cells, random networks and parts failed, in the chunks of their groups."""
    variables = [each for name, each in FAILURES.items() if name in groups]
    on_grid = [_on_grid(each, plan) if each.dims == CELL else each for each in variables]
    arrays = [_measured(variable, values, _one_block(plan)) for variable in on_grid]
    return Group(_coordinates(arrays, values) + arrays)


def _one_block(plan: Plan) -> dict[str, int]:
    """Length of a block along the axes that blocks divide."""
    lengths = {"width": 1, "depth": 1, **{axis.name: 1 for axis in plan.config.axes}}
    if plan.config.training is not None:
        lengths["seed"] = plan.seeds_per_block
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
    return AXES[name].coordinate if name in AXES else COORDINATES[name]
