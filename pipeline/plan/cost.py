"""What a cell costs: operations, seconds, memory and bytes, by a model that measured times correct."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws
from widesweep.workers import measurements
from widesweep.workers.data import Dimensions
from widesweep.workers.engine.sync_steps import segment_lengths
from widesweep.workers.training import costs as cell_cost

# Stated defaults for one core; a running sweep corrects them by its own times. They are
# constants, not measurements, so that two runs of one config plan the same blocks.
CORE_FLOPS_PER_S = 5.2e10
FEW_SAMPLES = {
    8: 1.0,
    4: 4.0,
}  # by a number's bytes: for which moving a wide layer takes as long as its products
WIDE = 512  # width from which a layer does not stay in a core's cache
VECTOR_BYTES = 64  # samples go through the processor by whole vectors
RECORD_FLOPS_PER_S = 3.7e10  # a record's products are thin, and eigenvalues do not run at the peak
VECTOR_FLOPS_PER_S = 1.6e10  # its norms read weights from memory for a few operations each
ELEMENT_S = 1.3e-9  # one activation of one sample through one layer and step, besides the products
PATCH_ELEMENT_S = 1.0e-9  # the same of a pixel and channel on its way to and from each place of a filter
COMPILED_ELEMENT_S = 4.0e-10  # the same in machine code
COMPILED_STEP_S = 1.0e-6  # a step of one cell there, besides
LOOK_ELEMENT_S = 3.9e-9  # at a look, besides
RECORD_S = 9.0e-6  # one quantity of one record of one cell, besides its operations
BATCH_STEP_S, LAYER_STEP_S = 7.5e-5, 4.0e-5  # dispatch of one step of a batch, and of each of its layers
LAYER_LOOK_S = 3.4e-4  # dispatch of a look and its record, for each layer of a batch
DISPATCH_S = 6.2e-3  # the driver's time for one block
LOCAL_START_S = 3.0  # of the local scheduler, with its loading of libraries
START_S = 13.0  # a local cluster's start and end, and its workers' loading of their libraries
PROCESS_BYTES = 400 * 2**20  # a worker process with its libraries
BATCH_BYTES = 24 * 2**20  # what a batch on a CPU core holds beyond one seed's cells


@dataclass(frozen=True)
class Costs:
    """Costs of the grid, by (width, depth) pair.

    Attributes:
        seed_s: seconds of one seed at all learning rates on one core, shape (widths, depths).
        batch_s: seconds of a batch beside those of its seeds, however many it has.
        seed_flops: operations of the same.
        seed_bytes: memory that one seed at all learning rates needs.
        initialization_s: seconds of a pair's random networks on one core, shape (widths, depths).
    """

    seed_s: np.ndarray
    batch_s: np.ndarray
    seed_flops: np.ndarray
    seed_bytes: np.ndarray
    initialization_s: np.ndarray


def estimate(config: SweepConfig, size: Dimensions) -> Costs:
    """Costs of every pair of width and depth.

    Seconds of a cell of n samples: steps · (flops / rate · (1 + n₀/n · min(1, width/512)) + layers · ε · n ·
    width), with n in whole vectors, its looks and its records; those of a batch besides: dispatch of its
    looks, and of steps that are not compiled, for all its cells at once. All steps count: a cell that reaches
    the rounding floor ends earlier.

    Source: the networks' own counts of operations; constants measured on one CPU core.

    Args:
        config: the sweep.
        size: of its data.
    """
    shape = (len(config.grid.width), len(config.grid.depth))
    costs = Costs(*(np.zeros(shape) for _ in range(5)))
    for w, width in enumerate(config.grid.width):
        for d, depth in enumerate(config.grid.depth):
            if config.training is not None:
                seconds, flops, memory = _training_cell(config, width, depth, size)
                costs.batch_s[w, d] = _batch_s(config, width, depth, size)
                rates = len(config.grid.learning_rates)
                costs.seed_s[w, d] = rates * seconds
                costs.seed_flops[w, d] = rates * flops
                costs.seed_bytes[w, d] = rates * memory
            if config.initialization is not None:
                costs.initialization_s[w, d] = draws.pair_s(config, width, depth)
    return costs


def _training_cell(
    config: SweepConfig, width: int, depth: int, size: Dimensions
) -> tuple[float, float, float]:
    training = config.training
    assert training is not None
    records = len(training.recorded_steps())
    cell = (config.network, training, width, depth, size)
    steps_flops, record_flops = cell_cost.steps_flops(*cell), cell_cost.record_flops(*cell)
    flops = steps_flops + records * record_flops
    vector_flops = cell_cost.record_vector_flops(*cell)
    precision = 8 / training.itemsize
    layers = config.network.layers(width, depth, size.inputs, size.outputs)
    elements = depth * size.samples * layers[0].pixels * width
    stops = 1 + len(segment_lengths(training.recorded_steps()))
    compiled = cell_cost.is_compiled(*cell)
    step_s = COMPILED_STEP_S + elements * COMPILED_ELEMENT_S if compiled else elements * ELEMENT_S
    step_s += PATCH_ELEMENT_S * sum(
        size.samples * layer.pixels * layer.fan_in for layer in layers if layer.pixels > 1
    )
    moving = FEW_SAMPLES[training.itemsize] / size.samples * min(1.0, width / WIDE)
    product_s = (
        steps_flops / (CORE_FLOPS_PER_S * precision) * (_vectors(size.samples, training.itemsize) + moving)
    )
    quantities = len(measurements.needs(training.measure))
    record_s = (record_flops - vector_flops) / (RECORD_FLOPS_PER_S * precision) + quantities * RECORD_S
    record_s += vector_flops / (VECTOR_FLOPS_PER_S * precision)
    seconds = product_s + training.steps * step_s + stops * LOOK_ELEMENT_S * elements + records * record_s
    return seconds, flops, float(cell_cost.memory_bytes(*cell))


def _vectors(samples: int, itemsize: int) -> float:
    """What whole vectors of samples add to a step: its two passes take them, its update does not."""
    lanes = VECTOR_BYTES // itemsize
    return (1.0 + 2.0 * math.ceil(samples / lanes) * lanes / samples) / 3.0


def _batch_s(config: SweepConfig, width: int, depth: int, size: Dimensions) -> float:
    """Dispatch of a batch's looks, and of its steps where they are not compiled."""
    training = config.training
    assert training is not None
    looks_s = (1 + len(segment_lengths(training.recorded_steps()))) * depth * LAYER_LOOK_S
    if cell_cost.is_compiled(config.network, training, width, depth, size):
        return looks_s
    return looks_s + training.steps * (BATCH_STEP_S + depth * LAYER_STEP_S)


def variable_values(config: SweepConfig, size: Dimensions) -> list[int]:
    """Numbers that a training cell stores, by variable."""
    if config.training is None:
        return []
    sizes = {
        "mode": size.samples * size.outputs,
        "prediction": size.test_samples * size.outputs,
        "step": len(config.training.recorded_steps()),
        "layer": max(config.grid.depth) + 1,
    }
    return [int(np.prod([sizes.get(dim, 1) for dim in v.dims])) for v in config.training.variables]


def stored_bytes(config: SweepConfig, size: Dimensions) -> int:
    """Bytes of the sweep's arrays before compression, 8 for each number."""
    pairs = len(config.grid.width) * len(config.grid.depth)
    total = config.cells * sum(variable_values(config, size)) if config.training is not None else 0
    if config.initialization is not None:
        total += pairs * draws.stored_values(config)
    return 8 * total


def block_bytes(costs: Costs, w: int, d: int, seeds: int, threads: int) -> int:
    """Memory of a training block: its batches, one on each core, and the process around them."""
    per_seed = float(costs.seed_bytes[w, d])
    batch = min(seeds * per_seed, max(per_seed, BATCH_BYTES))
    return PROCESS_BYTES + int(threads * batch)
