"""A million cells: what a command asks of such a store takes seconds, and a driver's memory does not grow."""

from __future__ import annotations

import contextlib
import gc
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr

from tests.pipeline.conftest import wait_until
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import ray_scheduler
from widesweep.pipeline.execution.worker import Outcome, Sweep
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.store import claim, template
from widesweep.pipeline.store.reader import Store
from widesweep.pipeline.store.status import status
from widesweep.workers.variable import PENDING

pytestmark = pytest.mark.slow
Write = Callable[..., Path]
GRIDS = {  # many seeds for few networks, and the other way round
    "seeds": {"width": list(range(8, 18)), "depth": [1, 2, 3, 4, 5], "seed": 10_000},
    "pairs": {"width": list(range(8, 508)), "depth": list(range(1, 11)), "seed": 100},
}


def large_store(path: Path, url: str) -> int:
    """A store of which nine blocks of ten are done, as far as statuses say; its blocks."""
    sweep = sweep_config.load(path)
    assert sweep.config.cells == 10**6
    data, plan = data_source.load_data(sweep), data_source.make_plan(sweep, 2)
    assert data is not None
    template.create(url, plan, prediction.predict(sweep.config, data), data.index, "")
    array = zarr.open_array(url, path="training/status", mode="r+")
    for block in map(plan.block, range(len(plan) * 9 // 10)):
        array[block.width, block.depth, block.region["seed"]] = 1
    return len(plan)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", GRIDS)
def test_a_million_cells_open_in_seconds(
    shape: str, write_config: Write, tmp_path: Path, record_property: Any
) -> None:
    """Opening, status, and what a resume asks before its first block: under 5 s each, in 200 MiB at most."""
    path = write_config(grid=GRIDS[shape], initialization=None)
    url = str(tmp_path / "large.zarr")
    blocks = large_store(path, url)
    before, took = psutil.Process().memory_info().rss, {}
    began = time.perf_counter()
    store = Store(url)
    took["open"] = time.perf_counter() - began
    began = time.perf_counter()
    assert status(url)["blocks"] == {"done": blocks * 9 // 10, "total": blocks}
    took["status"] = time.perf_counter() - began
    began = time.perf_counter()
    sweep = sweep_config.load(path)
    plan = data_source.make_plan(sweep, 2, store.seeds_per_block, store.rates_per_block)
    order = plan.longest_first(store.blocks_with(PENDING))
    plan.block(int(order[0]))
    took["resume"] = time.perf_counter() - began
    grown = psutil.Process().memory_info().rss - before
    print(shape, blocks, "blocks", {k: round(v, 2) for k, v in took.items()}, f"{grown / 2**20:.0f} MiB")
    assert max(took.values()) < 5.0
    assert grown < 200 * 2**20


def nothing(sweep: Any, block: Any) -> Outcome:
    """What a worker does with a block in place of measuring it."""
    return Outcome(
        index=block.index, wall_s=0.0, core_s=0.0, computed=1, cells={}, device="cpu", memory_bytes=0
    )


def test_a_drivers_memory_does_not_grow_with_the_blocks(
    write_config: Write, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4,000 blocks the last 3,000 cost less than 100 bytes each of Python's memory."""
    sizes: dict[int, int] = {}

    class Counter:
        seen = 0

        def started(self, block: Any) -> None: ...

        def finished(self, block: Any, outcome: Outcome) -> None:
            self.seen += 1
            if self.seen in (1000, 3990):
                gc.collect()
                sizes[self.seen] = tracemalloc.get_traced_memory()[0]

        def lost(self, block: Any, reason: str) -> None:
            raise AssertionError(reason)

        failed = lost

    class Never:
        grace_s = 0.0

        def __bool__(self) -> bool:
            return False

        def interrupting(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    sweep = sweep_config.load(
        write_config(grid={"width": [8], "depth": [1], "seed": 4000}, initialization=None)
    )
    plan = data_source.make_plan(sweep, 2, seeds_per_block=1)
    shared = Sweep(claim.take(str(tmp_path)).permit, sweep.config, "", None, np.zeros(0), "cpu", 0)
    monkeypatch.setattr(ray_scheduler, "EXECUTE", f"{__name__}:nothing")
    tracemalloc.start()
    try:
        cluster.run(shared, (plan.block(i) for i in range(len(plan))), Counter(), Never())
    finally:
        tracemalloc.stop()
    wait_until(lambda: len(sizes) == 2, what="both measurements")
    print(f"{(sizes[3990] - sizes[1000]) / 2990:.0f} bytes a block")
    assert sizes[3990] - sizes[1000] < 100 * 2990
