"""Blocks partition the grid, suit the cores, and keep the store in few files."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import blocks as plan
from widesweep.pipeline.plan import cost
from widesweep.workers.data import Dimensions
from widesweep.workers.measurements import TRAINING_VARIABLES

Write = Callable[..., Path]
SIZE = Dimensions(samples=32, inputs=64)


def make(widths: list[int], depths: list[int], seeds: int, rates: int = 1, steps: int = 10) -> SweepConfig:
    return SweepConfig.model_validate(
        {
            "name": "x",
            "store": "x",
            "network": {"kind": "fully_connected"},
            "data": {"source": "digits"},
            "grid": {
                "width": widths,
                "depth": depths,
                "seed": seeds,
                "learning_rate": [0.1 * (i + 1) for i in range(rates)],
            },
            "training": {"steps": steps},
            "initialization": {"draws": 1000},
        }
    )


grids = st.builds(
    make,
    st.lists(st.integers(1, 512), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    st.integers(1, 60),
    st.integers(1, 3),
    st.sampled_from([1, 1000, 10**6]),
)


@given(grids, st.integers(1, 64), st.none() | st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_blocks_partition_the_grid(sweep: SweepConfig, cores: int, seeds_per_block: int | None) -> None:
    """Every cell lies in one training block, every pair in one initialization block, whatever the cores."""
    made = plan.make(sweep, SIZE, cores, seeds_per_block)
    cells: Counter[tuple[int, int, int, int]] = Counter()
    sampled: Counter[tuple[int, int]] = Counter()
    for i in range(len(made)):
        block = made.block(i)
        assert block.index == i
        assert 1 <= block.threads <= cores
        if block.kind == "training":
            assert block.region["seed"].start % made.seeds_per_block == 0
            assert block.region["learning_rate"].start % made.rates_per_block == 0
            along = block.indices("seed").tolist(), block.indices("learning_rate").tolist()
            cells.update((block.width, block.depth, *place) for place in itertools.product(*along))
        else:
            sampled[(block.width, block.depth)] += 1
    pairs = [(w, d) for w in range(len(sweep.grid.width)) for d in range(len(sweep.grid.depth))]
    inside = itertools.product(range(len(sweep.grid.seeds)), range(len(sweep.grid.learning_rates)))
    assert cells == Counter((*pair, *place) for pair, place in itertools.product(pairs, list(inside)))
    assert sampled == Counter(pairs)


@given(grids, st.integers(1, 16))
@settings(max_examples=30, deadline=None)
def test_costs_of_blocks_add_up_and_the_longest_goes_first(sweep: SweepConfig, cores: int) -> None:
    """The array of costs is the blocks' own, its sum the sweep's, and the order descends."""
    made = plan.make(sweep, SIZE, cores)
    seconds = made.block_seconds()
    assert seconds == pytest.approx([made.block(i).cost_s for i in range(len(made))])
    assert seconds.sum() == pytest.approx(made.total_s)
    order = made.longest_first(np.arange(len(made)))
    assert (np.diff(seconds[order]) <= 0).all()
    assert sorted(order) == list(range(len(made)))


def test_a_long_sweep_is_cut_finely_enough_for_its_cores() -> None:
    """No block takes more than a quarter of a core's share while there are seeds to cut between."""
    made = plan.make(make([256], [3], 64, steps=10_000), SIZE, cores=4)
    assert made.block_seconds().max() <= made.total_s / 16 * 1.001


def test_learning_rates_of_a_long_seed_are_divided() -> None:
    """One seed at eight rates on four cores: eight blocks of a cell each; of many seeds none is divided."""
    one = plan.make(make([512], [3], 1, 8, steps=10_000), SIZE, cores=4)
    assert (one.seeds_per_block, one.rates_per_block, one.training_blocks) == (1, 1, 8)
    assert plan.make(make([512], [3], 64, 8, steps=10_000), SIZE, cores=4).rates_per_block == 8


def test_few_large_blocks_take_several_cores() -> None:
    """A sweep of one cell runs on all cores, a sweep of many on one core each."""
    one = plan.make(make([512], [3], 1, steps=10_000), SIZE, cores=8)
    many = plan.make(make([512], [3], 64, steps=10_000), SIZE, cores=8)
    assert one.block(0).threads == 8
    assert many.block(0).threads == 1


@pytest.mark.parametrize(
    ("widths", "seeds", "rates", "objects"),
    [(4, 625, 4, 2_000), (4, 31_250, 4, 20_000), (10, 50_000, 1, 20_000)],
)
def test_a_store_has_few_objects(widths: int, seeds: int, rates: int, objects: int) -> None:
    """20,000 cells stay under 2,000 objects, 10⁶ under 20,000."""
    sweep = make([32 * (i + 1) for i in range(widths)], [1, 2], seeds, rates, steps=1000)
    made = plan.make(sweep, SIZE, cores=64)
    assert made.training_blocks * len(TRAINING_VARIABLES) + plan.OTHER_OBJECTS <= objects


@pytest.mark.slow
def test_a_million_cells_are_planned_in_little_memory() -> None:
    """Planning 10⁶ cells, down to the order of blocks, takes under 500 MB; its time is in the benchmarks."""
    tracemalloc.start()
    made = plan.make(make(list(range(16, 516)), [1, 2, 4, 8], 250, 2), SIZE, cores=64)
    order = made.longest_first(np.arange(len(made)))
    blocks = [made.block(int(i)) for i in order]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.config.cells == 10**6
    assert len(blocks) == len(made)
    assert peak_bytes < 500e6


def test_the_makespan_is_that_of_longest_first() -> None:
    """Three equal blocks on two cores take two rounds, on three one."""
    assert plan.makespan_s(np.array([1.0, 1.0, 1.0]), 2) == 2.0
    assert plan.makespan_s(np.array([1.0, 1.0, 1.0]), 3) == 1.0
    assert plan.makespan_s(np.zeros(0), 3) == 0.0


def test_a_cell_that_fits_nowhere_is_refused(write_config: Write) -> None:
    """The message names the width and what there is."""
    sweep = sweep_config.load(write_config())
    made = plan.make(sweep.config, Dimensions(4, 5), 2)
    with pytest.raises(InputError, match=r"grid\.width: a seed's 2 cells of width 8 and depth 1 need"):
        plan.check_memory(made, sweep.file, 100)


def test_plan_prints_a_forecast_and_runs_nothing(write_config: Write, tmp_path: Path) -> None:
    """The forecast has cells, blocks, operations, memory, bytes and times; no store appears."""
    path = write_config()
    result = CliRunner().invoke(app, ["plan", str(path), "--json", "--gpus", "2"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["cells"] == 24
    assert {"blocks", "flops", "memory_bytes", "stored_bytes", "wall_s"} <= set(found)
    assert found["gpus"] == 2
    many = json.loads(CliRunner().invoke(app, ["plan", str(path), "--json", "--gpus", "64"]).stdout)
    assert 0.0 < found["gpu_idle_share"] < many["gpu_idle_share"] < 1.0
    assert found["gpu_wall_s"] > cost.START_S
    assert sorted(tmp_path.iterdir()) == [path]


def test_gpus_have_nothing_to_do_for_random_networks() -> None:
    """A sweep that trains nothing has a forecast on GPUs too: no block, and all of their time idle."""
    sweep = Path(__file__).parents[2] / "configs" / "cumulants.yaml"
    result = CliRunner().invoke(app, ["plan", str(sweep), "--json", "--gpus", "2"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["gpu_blocks"], found["gpu_idle_share"]) == (0, 1.0)
