"""One block on a worker: measured, written to the store, told to the driver in a few numbers."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from widesweep.pipeline.config import plug_ins
from widesweep.pipeline.config.plug_ins import PlugIn
from widesweep.pipeline.config.sweep_config import Point, SweepConfig
from widesweep.pipeline.execution import guard
from widesweep.pipeline.plan import gpu_shares
from widesweep.pipeline.plan.blocks import Block
from widesweep.pipeline.plan.data import at as data_at
from widesweep.pipeline.store import checkpoints, chunks
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import counts
from widesweep.pipeline.store.stream import Stream
from widesweep.workers.data import Data, Dimensions

if TYPE_CHECKING:
    from widesweep.workers.training.block_training import TrainingBlock


FIRST_DATASET = "dask.array"  # xarray loads it with the first dataset of a process


@dataclass(frozen=True)
class Sweep:
    """What all blocks of a sweep share.

    Attributes:
        permit: of the run, for its store.
        config: the sweep.
        config_hash: its hash, which takes a third of a millisecond.
        data: training points, or None.
        learning_rate_absolute: η, along all axes of the grid but `seed`.
        device: a torch device.
        memory_bytes: what one block may use for each of its threads.
        gpu_memory_bytes: of one GPU, where blocks take shares of it; 0: they take cores alone.
        pair_draws: random networks of each pair, shape (widths, depths).
        plug_ins: what the config names that is not built in.
        folder: where their modules are looked for first, if it is there.
    """

    permit: Permit
    config: SweepConfig
    config_hash: str
    data: Data | None
    learning_rate_absolute: np.ndarray
    device: str
    memory_bytes: int
    gpu_memory_bytes: int = 0
    pair_draws: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    plug_ins: tuple[PlugIn, ...] = ()
    folder: Path = Path()

    @property
    def url(self) -> str:
        """The store's address, as any process can open it."""
        return self.permit.url

    def permit_of(self, block: Block) -> Permit:
        """That of the attempt at a block."""
        return replace(self.permit, attempt=block.state.attempt)

    def writer(self, block: Block) -> chunks.ChunkWriter:
        """What puts a block in its place in the store."""
        return chunks.writer(self.permit_of(block), self.config_hash)


@dataclass(frozen=True)
class Outcome:
    """What the driver hears of a block.

    Attributes:
        index: the block's number.
        wall_s: time from its start to its status in the store.
        core_s: time that its process computed, all threads together; on a GPU the wall time.
        computed: cells or parts that it computed, where others were there already.
        cells: its cells by state.
        device: what it ran on.
        memory_bytes: the worker process's peak memory so far.
    """

    index: int
    wall_s: float
    core_s: float
    computed: int
    cells: dict[str, int]
    device: str
    memory_bytes: int


def execute(sweep: Sweep, block: Block) -> Outcome:
    """Measures a block and writes it: data first, status last."""
    with guard.watching(block.state.limit_s):
        _load(sweep, block)  # once in a process, and no block's own time
        began, began_core = time.perf_counter(), time.process_time()
        sweep.writer(block).take(block)
        computed = _to_compute(sweep, block)
        measured = _train(sweep, block) if block.kind == "training" else _sample(sweep, block)
        guard.alive()
        sweep.writer(block).write(block, measured)
    sweep.permit_of(block).delete(measured.attrs.get("checkpoints", ()))
    device, wall_s = str(measured.attrs.get("device", "cpu")), time.perf_counter() - began
    return Outcome(
        index=block.index,
        wall_s=wall_s,
        core_s=wall_s if device.startswith("cuda") else time.process_time() - began_core,
        computed=computed,
        cells=counts(np.asarray(measured["status"].values)),
        device=device,
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _load(sweep: Sweep, block: Block) -> None:
    """All that a process's first block would else wait for: libraries, machine code compiled or read."""
    importlib.import_module(FIRST_DATASET)
    plug_ins.require(sweep.plug_ins, sweep.folder)
    if block.kind == "parts":
        importlib.import_module("widesweep.workers.random_networks")
        return
    from widesweep.workers.engine import matmul
    from widesweep.workers.engine.device import resolved
    from widesweep.workers.training import block_training

    config = sweep.config.at(_point(sweep, block))
    assert config.training is not None
    assert sweep.data is not None
    if resolved(sweep.device).type == "cpu":
        matmul.load(config.training.dtype)
        samples, inputs = sweep.data.x.shape
        size = Dimensions(samples, inputs, sweep.data.outputs)
        width, depth = config.grid.width[block.width], config.grid.depth[block.depth]
        block_training.prepare(config.network, config.training, width, depth, size)


def _to_compute(sweep: Sweep, block: Block) -> int:
    """Cells that a block computes, or parts of a pair's random networks."""
    if block.state.recompute:
        return int(sweep.writer(block).to_do(block).sum())
    if block.kind == "parts":
        return len(block.indices("part"))
    return len(block.indices("seed")) * len(block.indices("learning_rate"))


def _train(sweep: Sweep, block: Block) -> xr.Dataset:
    """All cells of a block; of one that is partly stored, what is missing is computed, the rest read."""
    seeds, rates = block.indices("seed"), block.indices("learning_rate")
    if not block.state.recompute:
        return _train_cells(sweep, block, seeds, rates, lambda measured: measured)
    writer = sweep.writer(block)
    wanted, stored = writer.to_do(block), writer.stored(block)
    whole, left = xr.Dataset(), []
    for row in np.unique(wanted, axis=0):  # seeds that lack the same learning rates train together
        if row.any():
            s, r = np.flatnonzero((wanted == row).all(axis=1)), np.flatnonzero(row)
            put_in = partial(_put_in, stored, np.ix_(s, r))
            whole = put_in(_train_cells(sweep, block, seeds[s], rates[r], put_in))
            left += whole.attrs["checkpoints"]
    return whole.assign_attrs(checkpoints=left)


def _put_in(stored: dict[str, np.ndarray], place: tuple[Any, ...], measured: xr.Dataset) -> xr.Dataset:
    """The whole block, what is measured at its place among what is stored."""
    dims = {}
    for name, values in measured.data_vars.items():
        new = values.transpose("seed", "learning_rate", ...)
        inside = tuple(slice(0, length) for length in new.shape[2:])
        stored[str(name)][(*place, *inside)] = new.values
        dims[str(name)] = new.dims
    return xr.Dataset({name: (dims[name], stored[name]) for name in dims}, attrs=measured.attrs)


def _train_cells(
    sweep: Sweep,
    block: Block,
    seeds: np.ndarray,
    rates: np.ndarray,
    whole: Callable[[xr.Dataset], xr.Dataset],
) -> xr.Dataset:
    """Trains cells of a block from where an earlier attempt left them, and shows what they have on the way.

    The attribute `checkpoints` names what may be deleted once the block's status is written.
    """
    from widesweep.workers.training import block_training

    task, data = _task(sweep, block, seeds, rates), _own_copy(sweep, block)

    def show(results: dict[str, np.ndarray]) -> None:
        sweep.writer(block).write_records(
            block, whole(block_training.records(task, results, block_training.lengths(data)))
        )

    stream = Stream(
        permit=sweep.permit_of(block),
        key=checkpoints.key(sweep.config, block, int(seeds[0])),
        identity=functools.cache(partial(_identity, task, data)),
        show=show,
        interval_s=sweep.config.compute.flush_s,
        alive=guard.alive,
    )
    measured = block_training.run(task, data, stream, stream.read() if block.state.resume else None)
    return measured.assign_attrs(checkpoints=[stream.key] if stream.written or block.state.resume else [])


def _task(sweep: Sweep, block: Block, seeds: np.ndarray, rates: np.ndarray) -> TrainingBlock:
    from widesweep.workers.engine.device import resolved
    from widesweep.workers.training.block_training import TrainingBlock

    config = sweep.config.at(_point(sweep, block))
    grid, device = config.grid, resolved(sweep.device)
    shared, threads = sweep.memory_bytes * block.threads, block.threads
    if device.type == "cuda":  # one batch after another: two at once would need twice the share
        shared, threads = gpu_shares.block_bytes(block, sweep.gpu_memory_bytes), 1
    assert config.training is not None
    return TrainingBlock(
        width=grid.width[block.width],
        depth=grid.depth[block.depth],
        seeds=tuple(grid.seeds[i] for i in seeds),
        learning_rates=tuple(grid.learning_rates[i] for i in rates),
        learning_rates_absolute=tuple(
            float(rate) for rate in sweep.learning_rate_absolute[(*block.place, rates)]
        ),
        steps=config.training.recorded_steps(),
        network=config.network,
        training=config.training,
        seed=config.seed,
        memory_bytes=shared,
        device=str(device),
        threads=threads,
        split=block.state.split,
    )


def _identity(task: TrainingBlock, data: Data) -> str:
    """SHA-256 of all that changes a number of these cells, hexadecimal: whose checkpoint it is."""
    values = {**vars(task), "network": repr(task.network), "training": repr(task.training)}
    for each in ("memory_bytes", "device", "threads", "split"):
        del values[each]
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for points in (data.x, data.y, data.test_x, data.test_y):
        digest.update(np.ascontiguousarray(points).data)
    return digest.hexdigest()


def _sample(sweep: Sweep, block: Block) -> xr.Dataset:
    """The parts of a block; of one that is partly stored, what is missing is drawn, the rest read."""
    from widesweep.pipeline.plan import draws as sampling
    from widesweep.workers import random_networks

    grid, x = sweep.config.grid, None if sweep.data is None else sweep.data.x
    draws = int(sweep.pair_draws[block.width, block.depth])
    task = sampling.block(sweep.config, grid.width[block.width], grid.depth[block.depth], x, draws)
    parts = block.indices("part")
    if not block.state.recompute:
        return random_networks.sample(task, parts.tolist())
    writer = sweep.writer(block)
    stored, wanted = writer.stored(block), writer.to_do(block)
    drawn = random_networks.sample(task, parts[wanted].tolist())
    names = [str(name) for name in drawn.data_vars]
    for name in names:
        stored[name][wanted] = drawn[name].values
    return xr.Dataset({name: (drawn[name].dims, stored[name]) for name in names}, {"part": parts})


def _point(sweep: Sweep, block: Block) -> Point:
    """The block's values along the grid's further axes."""
    return tuple(axis.values(sweep.config)[block.region[axis.name].start] for axis in sweep.config.axes)


def _own_copy(sweep: Sweep, block: Block) -> Data:
    """The block's points in memory that torch may share; what arrives from another process is read-only."""
    data = data_at(sweep.data, sweep.config, _point(sweep, block))
    assert data is not None
    return replace(data, x=np.array(data.x), y=np.array(data.y))
