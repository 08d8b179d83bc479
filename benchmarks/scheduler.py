"""Blocks of nothing through the scheduler and the store: what a block costs beside its work.

From the repository's root: python -m benchmarks.scheduler
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import ray
import xarray as xr

from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import driver, ray_environment, ray_scheduler
from widesweep.pipeline.execution.display import Display
from widesweep.pipeline.execution.worker import Outcome, Sweep
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.plan.blocks import Block
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.store import claim, template
from widesweep.pipeline.store.reader import Store
from widesweep.workers.variable import DONE, PENDING

BLOCKS, CORES = 10_000, 2
DONE_CELL = {"done": 1, "diverged": 0, "failed": 0, "pending": 0}
RAY_TUNE_S, XSWEEP_RATIO = 9e-3, 18  # a trial, as Ray Tune publishes it; xsweep's own figure against a loop
CONFIG = """
name: empty-blocks
network: {kind: two_layer}
data: {source: digits, samples: 2}
grid: {width: {widths}, depth: [1], seed: 1, learning_rate: [1.0]}
training: {steps: 4, records: 3, measure: [loss]}
"""


@dataclass
class Memory:
    """The driver's resident memory, looked at twice a second."""

    bytes: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        process = psutil.Process()
        while not self.over.wait(0.5):
            self.bytes.append(process.memory_info().rss)

    @property
    def growth(self) -> float:
        """Mean of the last quarter over that of the second."""
        quarter = max(1, len(self.bytes) // 4)
        return float(np.mean(self.bytes[-quarter:]) / np.mean(self.bytes[quarter : 2 * quarter]))


def nothing(sweep: Sweep, block: Block) -> Outcome:
    """Writes a block of zeros and its status, as one that computed them would."""
    sizes = {"seed": 1, "learning_rate": 1, "step": 3}
    assert sweep.config.training is not None
    measured = xr.Dataset(
        {
            v.name: (
                v.dims[2:],
                np.full([sizes[d] for d in v.dims[2:]], 0 if v.dtype != "int8" else DONE, v.dtype),
            )
            for v in sweep.config.training.variables
        }
    )
    sweep.writer(block).write(block, measured)
    return Outcome(block.index, 0.0, 0.0, 1, DONE_CELL, "cpu", 0)


def section() -> str:
    """Blocks per second and the driver's memory, as a sentence."""
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), str(Path(name) / "empty.zarr")
        (folder / "empty.yaml").write_text(CONFIG.replace("{widths}", str(list(range(1, BLOCKS + 1)))))
        sweep = sweep_config.load(folder / "empty.yaml")
        data = data_source.load_data(sweep)
        plan = data_source.make_plan(sweep, CORES)
        template.create(url, plan, prediction.predict(sweep.config, data), data.index, "")
        ray_environment.prepare(local=True)
        memory = Memory()
        watcher = threading.Thread(target=memory.watch, daemon=True)
        with ray_scheduler.connect(None, CORES) as cluster:
            ray_scheduler.EXECUTE = "benchmarks.scheduler:nothing"
            awake = ray.remote(lambda: None)
            ray.get([awake.remote() for _ in range(CORES)])
            watcher.start()
            began = time.perf_counter()
            with claim.take(url) as mine:
                driver.run_pending(sweep, mine, data, cluster, 0, False, (PENDING,), Display())
            wall_s = time.perf_counter() - began
        memory.over.set()
        counts = Store(url).cell_counts()
    if counts["done"] != len(plan):
        raise SystemExit(f"cells: {counts}")
    pace = (
        f"{len(plan):,} blocks of nothing through the scheduler and a store of as many chunks, "
        f"{CORES} cores: **{len(plan) / wall_s:.0f} blocks/s** (wanted ≥ 200), "
        f"{1e3 * wall_s / len(plan):.1f} ms a block of any number of cells"
    )
    growth = (
        f"the driver's memory is {memory.growth:.3f} times what it was a quarter into the run "
        f"(wanted: flat), {max(memory.bytes) / 1e6:.0f} MB at most"
    )
    others = (
        f"Ray Tune publishes {1e3 * RAY_TUNE_S:.0f} ms a trial; xsweep publishes {XSWEEP_RATIO} times "
        "the time of a plain loop"
    )
    return f"{pace}; {growth}. {others}."


if __name__ == "__main__":
    print(section())
