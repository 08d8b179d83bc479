"""What a cell costs on a GPU: operations and bytes, and what a block waits for besides."""

from __future__ import annotations

import math
from dataclasses import replace

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan.cost import Costs
from widesweep.workers import measurements
from widesweep.workers.data import Dimensions
from widesweep.workers.engine.sync_steps import segment_lengths
from widesweep.workers.training import costs as cell_cost

# Of one H100 with 80 GB, as measured there (`benchmarks/gpu.py`); stated constants, as those of a core are.
FLOPS_PER_S = 5.0e13  # float64 by its tensor cores, float32 by its cores
BYTES_PER_S = 2.8e12
PASSES = 12  # over a layer's activations and cotangents in one step
WEIGHT_PASSES = 4  # forward, backward, the update's read and write
STEP_S, LAYER_STEP_S = 1.0e-5, 2.2e-5  # a step that is replayed: gaps between its kernels
LAYER_LAUNCH_S = 1.4e-4  # the same, launched one by one: a look, or a step that is not replayed
QUANTITY_S = 4.0e-4  # launches of one quantity of a record, for each layer
DRIFT_S = 4.0e-3  # of operator norms, for each layer: an iteration
NORMAL_S = 2.0e-8  # one parameter at initialisation, drawn on a core
PROCESS_S = 10.0  # a block's process with its libraries and CUDA: 8 on one such machine, 14 on another


def of_training(config: SweepConfig, costs: Costs, size: Dimensions) -> Costs:
    """Costs where cells train on GPUs: `seed_s` takes the device, `batch_s` is what a block waits besides.

    A cell's steps take √((flops / F)² + (bytes / B)²): arithmetic and memory traffic overlap in part. A seed
    takes besides the core that draws its network; a block waits for its process and for launches.

    Args:
        config: the sweep.
        costs: on cores.
        size: of its data.
    """
    training = config.training
    if training is None:
        return costs
    seed_s, batch_s = costs.seed_s.copy(), costs.batch_s.copy()
    for w, width in enumerate(config.grid.width):
        for d, depth in enumerate(config.grid.depth):
            seed_s[w, d] = len(config.grid.learning_rates) * _cell_s(config, width, depth, size)
            batch_s[w, d] = _waits_s(config, depth)
            seed_s[w, d] += NORMAL_S * config.network.parameters(width, depth, size.inputs, size.outputs)
    return replace(costs, seed_s=seed_s, batch_s=batch_s)


def _cell_s(config: SweepConfig, width: int, depth: int, size: Dimensions) -> float:
    training = config.training
    assert training is not None
    cell = (config.network, training, width, depth, size)
    records = len(training.recorded_steps())
    flops = cell_cost.steps_flops(*cell) + records * cell_cost.record_flops(*cell)
    layers = config.network.layers(width, depth, size.inputs, size.outputs)
    inner = sum(layer.parameters for layer in layers) - layers[0].fan_in * layers[0].fan_out
    elements = WEIGHT_PASSES * inner + PASSES * depth * size.samples * layers[0].pixels * width
    gradients = training.gradients_per_step(size.samples)
    steps = training.steps * gradients + records * len(measurements.needs(training.measure))
    return math.hypot(flops / FLOPS_PER_S, steps * elements * training.itemsize / BYTES_PER_S)


def _waits_s(config: SweepConfig, depth: int) -> float:
    training = config.training
    assert training is not None
    records, launches_s = len(training.recorded_steps()), (depth + 1) * LAYER_LAUNCH_S
    step_s = STEP_S + depth * LAYER_STEP_S if training.replays else 3.0 * launches_s
    needs = measurements.needs(training.measure)
    record_s = (depth + 1) * (len(needs) * QUANTITY_S + ("norms" in needs) * DRIFT_S)
    stops = 1 + len(segment_lengths(training.recorded_steps()))
    return PROCESS_S + training.steps * step_s + stops * launches_s + records * record_s
