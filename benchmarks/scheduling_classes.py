"""A thousand tasks in flight of 500 pairs of width and depth: what sizes of memory cost the scheduler.

From the repository's root: python -m benchmarks.scheduling_classes
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.scheduler import CONFIG, DONE_CELL
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import ray_environment, ray_scheduler
from widesweep.pipeline.execution.worker import Outcome, Sweep
from widesweep.pipeline.plan import resource_sizes
from widesweep.pipeline.plan.blocks import Block
from widesweep.pipeline.store.permit import Permit

PAIRS, BLOCKS, IN_FLIGHT, CORES = 500, 2000, 1000, 2
SMALLEST, LARGEST = 4.0e8, 1.5e9  # bytes, all of which this machine can lend


class Count:
    """A listener that counts."""

    def __init__(self) -> None:
        """Nothing has ended."""
        self.done, self.others = 0, 0

    def started(self, block: Block) -> None:
        """Is counted when it ends."""

    def finished(self, block: Block, outcome: Outcome) -> None:
        self.done += 1

    def lost(self, block: Block, reason: str) -> None:
        self.others += 1

    def failed(self, block: Block, reason: str) -> None:
        self.others += 1


def nothing(sweep: Sweep, block: Block) -> Outcome:
    """A task that ends at once."""
    return Outcome(block.index, 0.0, 0.0, 1, DONE_CELL, "cpu", 0)


def blocks(count: int) -> Iterator[Block]:
    """Blocks of as many memory sizes as there are pairs."""
    region = {"width": slice(0, 1), "depth": slice(0, 1), "seed": slice(0, 1), "learning_rate": slice(0, 1)}
    for index, size in enumerate(np.resize(np.linspace(SMALLEST, LARGEST, PAIRS), count)):
        yield Block(index, "training", region, 0.0, int(size), 1)


def pace(cluster: ray_scheduler.Cluster, sweep: Sweep, count: int) -> float:
    """Blocks per second."""
    listener, began = Count(), time.perf_counter()
    cluster.run(sweep, blocks(count), listener, mock.MagicMock(__bool__=lambda _: False))
    if (listener.done, listener.others) != (count, 0):
        raise SystemExit(f"{listener.done} of {count} blocks ended, {listener.others} were lost or failed")
    return count / (time.perf_counter() - began)


def section() -> str:
    """Blocks per second with rounded sizes, and with exact ones, as a sentence."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty.yaml").write_text(CONFIG.replace("{widths}", "[8]"))
        sweep = sweep_config.load(folder / "empty.yaml")
        permit = Permit(str(folder / "empty.zarr"), 1, "bench")
        permit.grant()
        shared = Sweep(permit, sweep.config, sweep.config.hash, None, np.empty(0), "cpu", 2**30)
        ray_environment.prepare(local=True)
        with ray_scheduler.connect(None, CORES) as cluster:
            ray_scheduler.EXECUTE = "benchmarks.scheduling_classes:nothing"
            many = replace(cluster, watch=mock.Mock(lost=False, cores=(IN_FLIGHT - 4) // 2))
            pace(many, shared, 100)
            rounded = pace(many, shared, BLOCKS)
            with mock.patch.object(resource_sizes, "memory_bytes", int):
                exact = pace(many, shared, IN_FLIGHT // 4)
    return (
        f"{BLOCKS:,} blocks of {PAIRS} pairs with {IN_FLIGHT:,} in flight: **{rounded:.0f} blocks/s** "
        f"(wanted ≥ 150); {exact:.0f} with memory in exact bytes and {IN_FLIGHT // 4} in flight."
    )


if __name__ == "__main__":
    print(section())
