"""The GPU's cost model against times that were measured on one, and the blocks that it leads to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.plan import blocks, gpu_cost
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.plan.cost import estimate

Write = Callable[..., Path]
STEPS = 100_000  # so many that records do not count
# µs of a step of a batch of so many cells on an H100, from benchmarks/RESULTS.md.
MEASURED_US = {
    ("float64", 64, 2, 24, 1024): 0.17 * 1024,
    ("float64", 128, 2, 24, 512): 0.47 * 512,
    ("float64", 1024, 3, 64, 32): 36.5 * 32,
    ("float64", 2048, 3, 128, 8): 173.0 * 8,
    ("float32", 64, 2, 24, 1024): 0.13 * 1024,
    ("float32", 1024, 3, 64, 32): 28.6 * 32,
    ("float32", 2048, 3, 128, 8): 177.0 * 8,
}


@pytest.mark.parametrize(("dtype", "width", "depth", "samples", "cells"), MEASURED_US)
def test_a_step_takes_what_was_measured(
    write_config: Write, dtype: str, width: int, depth: int, samples: int, cells: int
) -> None:
    """Operations, bytes and launches at the stated rates give the measured time of a batch to a quarter."""
    grid = {"width": [width], "depth": [depth], "seed": 1, "learning_rate": [0.5]}
    training = {"steps": STEPS, "records": 2, "dtype": dtype, "measure": ["loss"]}
    data = {"source": "digits", "samples": samples}
    sweep = sweep_config.load(write_config(grid=grid, training=training, data=data))
    size = data_source.data_dimensions(sweep)
    costs = gpu_cost.of_training(sweep.config, estimate(sweep.config, size), size)
    launches_s = gpu_cost.STEP_S + depth * gpu_cost.LAYER_STEP_S
    modelled = (cells * float(costs.seed_s[0, 0]) / STEPS + launches_s) * 1e6
    assert modelled == pytest.approx(MEASURED_US[dtype, width, depth, samples, cells], rel=1 / 4)


def test_blocks_on_gpus_are_longer_than_on_cores() -> None:
    """On sixteen cores the demo has small blocks, for balance; on a GPU a block is all of a pair's seeds."""
    sweep = sweep_config.load(Path("configs/demo.yaml"))
    cores, gpu = data_source.make_plan(sweep, 16), data_source.make_plan(sweep, 16, gpus=1)
    seeds = len(sweep.config.grid.seeds)
    assert cores.seeds_per_block < gpu.seeds_per_block == seeds
    assert gpu.block(0).threads == 1
    long = sweep_config.load(Path("configs/demo.yaml"), ["training.steps=20000000"])
    assert data_source.make_plan(long, 16, gpus=8).seeds_per_block < seeds


def test_what_a_block_waits_for_lies_beside_its_cells(write_config: Write) -> None:
    """A second seed costs the device more, and the block no second process."""
    made = data_source.make_plan(sweep_config.load(write_config()), 2, gpus=1)
    assert (made.costs.batch_s > gpu_cost.PROCESS_S).all()
    one, two = (blocks.make(made.config, made.size, 2, seeds, gpus=1).block(0).cost_s for seeds in (1, 2))
    assert gpu_cost.PROCESS_S < one < two < 2 * one
