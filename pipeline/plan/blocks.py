"""The plan of a sweep: which cells form a block, and which block goes first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from widesweep.pipeline.config.compute import format_bytes
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import cost, draws, gpu_cost
from widesweep.pipeline.plan.cost import Costs
from widesweep.workers.data import Dimensions

BLOCKS_PER_CORE = 4  # the costliest block takes at most this share of a core's part of the sweep
SHORT_BLOCK_S = 2.0  # no block is cut below this for the sake of balance
BLOCKS_PER_GPU = 16  # the same of a GPU, which blocks share
SHORT_BLOCK_ON_GPU_S = 10.0  # of the device: a block's process there takes some seconds to begin
CHUNK_BYTES = 64 * 2**20  # no array's chunk grows beyond this
FEW_CELLS, FEW_OBJECTS, MANY_OBJECTS = 20_000, 2_000, 20_000
OTHER_OBJECTS = 200  # metadata, coordinates, theory

Kind = Literal["training", "parts", "initialization"]
LONG = ("seed", "learning_rate", "part")  # axes along which a block may have several values


@dataclass(frozen=True, slots=True)
class BlockState:
    """What has become of a block so far.

    Attributes:
        recompute: states of the cells to compute, where others of the block are kept; empty: all cells.
        resume: whether an earlier attempt may have left a checkpoint.
        split: the factor by which batches are smaller than memory seems to allow, after it ran out.
        limit_s: longest time without a sign of life; 0: any.
        attempt: names the permit of this attempt at it; empty before it is started.
    """

    recompute: tuple[int, ...] = ()
    resume: bool = False
    split: int = 1
    limit_s: float = 0.0
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Cells that run as one task and are written as one chunk of every array.

    Attributes:
        index: number in the plan; training blocks first.
        kind: what the block does.
        region: its indices along each axis; of one value each, but for `seed`, `learning_rate` and `part`.
        cost_s: predicted seconds on one core, or, where cells train on GPUs, on one of these.
        memory_bytes: predicted peak memory.
        threads: cores it takes.
        gpu_bytes: predicted memory of all its cells on a GPU, as one batch.
        state: what has become of it so far.
    """

    index: int
    kind: Kind
    region: Mapping[str, slice]
    cost_s: float
    memory_bytes: int
    threads: int
    gpu_bytes: int = 0
    state: BlockState = BlockState()

    @property
    def width(self) -> int:
        """Index of its width."""
        return int(self.region["width"].start)

    @property
    def depth(self) -> int:
        """Index of its depth."""
        return int(self.region["depth"].start)

    @property
    def place(self) -> tuple[int, ...]:
        """Its indices along the axes of which it has one value."""
        return tuple(each.start for axis, each in self.region.items() if axis not in LONG)

    def indices(self, axis: str) -> np.ndarray:
        """All its indices along an axis."""
        return np.arange(self.region[axis].start, self.region[axis].stop)

    def with_state(self, **changes: Any) -> Block:
        """The same block after more has happened to it."""
        return replace(self, state=replace(self.state, **changes))


@dataclass(frozen=True)
class Plan:
    """Blocks of a sweep, computed from their number and never listed.

    Attributes:
        config: the sweep.
        costs: what each pair of width and depth costs.
        seeds_per_block: length of a chunk along `seed`.
        cores: cores that the sweep runs on.
        rates_per_block: length of a chunk along `learning_rate`.
        parts_per_block: length of a chunk along `part`, of the draws of random networks.
        size: of the data.
        gpus: GPUs that cells train on; 0: they train on cores.
    """

    config: SweepConfig
    costs: Costs
    seeds_per_block: int
    cores: int
    rates_per_block: int
    size: Dimensions
    parts_per_block: int = 1
    gpus: int = 0

    @property
    def seed_blocks(self) -> int:
        """Blocks along `seed` for each pair of width and depth."""
        return math.ceil(len(self.config.grid.seeds) / self.seeds_per_block) if self.config.training else 0

    @property
    def rate_blocks(self) -> int:
        """Blocks along `learning_rate`: one, unless a seed's cells are long or the grid has grown."""
        return math.ceil(len(self.config.grid.learning_rates) / self.rates_per_block)

    @property
    def pairs(self) -> int:
        """Pairs of width and depth."""
        return len(self.config.grid.width) * len(self.config.grid.depth)

    @property
    def shape(self) -> tuple[int, ...]:
        """Blocks along each axis: as many as values, but for `seed` and `learning_rate`."""
        grid = self.config.grid
        further = (len(axis.values(self.config)) for axis in self.config.axes)
        return len(grid.width), len(grid.depth), *further, self.seed_blocks, self.rate_blocks

    @property
    def training_blocks(self) -> int:
        """Blocks that train."""
        return math.prod(self.shape)

    @cached_property
    def parts(self) -> int:
        """Parts of the random networks of each pair of width and depth."""
        return draws.parts(self.config)

    @property
    def part_blocks(self) -> int:
        """Blocks of parts for each pair of width and depth."""
        return math.ceil(self.parts / self.parts_per_block)

    def __len__(self) -> int:
        """Blocks of both kinds."""
        return self.training_blocks + self.pairs * self.part_blocks

    @cached_property
    def total_s(self) -> float:
        """Predicted seconds of the whole sweep on one core."""
        return float(self.block_seconds().sum())

    def block(self, index: int) -> Block:
        """The block of a number."""
        if index >= self.training_blocks:
            return self._block_of_parts(index)
        *place, k, j = (int(i) for i in np.unravel_index(index, self.shape))
        w, d = place[:2]
        start, stop = self._part(k, self.seeds_per_block, len(self.config.grid.seeds))
        first, last = self._part(j, self.rates_per_block, len(self.config.grid.learning_rates))
        names = ("width", "depth", *(axis.name for axis in self.config.axes))
        region = {name: slice(i, i + 1) for name, i in zip(names, place, strict=True)}
        region |= {"seed": slice(start, stop), "learning_rate": slice(first, last)}
        share = (last - first) / len(self.config.grid.learning_rates)
        seconds = (stop - start) * share * float(self.costs.seed_s[w, d]) + float(self.costs.batch_s[w, d])
        threads = 1 if self.gpus else self.threads_of(seconds)
        memory = cost.block_bytes(self.costs, w, d, stop - start, threads)
        gpu_bytes = math.ceil((stop - start) * share * float(self.costs.seed_bytes[w, d]))
        return Block(index, "training", region, seconds, memory, threads, gpu_bytes)

    def _block_of_parts(self, index: int) -> Block:
        pair, k = divmod(index - self.training_blocks, self.part_blocks)
        w, d = divmod(pair, len(self.config.grid.depth))
        start, stop = self._part(k, self.parts_per_block, self.parts)
        seconds = (stop - start) / self.parts * float(self.costs.initialization_s[w, d])
        region = {"width": slice(w, w + 1), "depth": slice(d, d + 1), "part": slice(start, stop)}
        return Block(index, "parts", region, seconds, cost.PROCESS_BYTES, 1)

    @staticmethod
    def _part(number: int, length: int, total: int) -> tuple[int, int]:
        return number * length, min((number + 1) * length, total)

    def block_seconds(self) -> np.ndarray:
        """Predicted seconds of each block on one core, shape (blocks,)."""
        seeds, rates = len(self.config.grid.seeds), len(self.config.grid.learning_rates)
        lengths = np.diff(np.append(np.arange(0.0, seeds, self.seeds_per_block), seeds))
        shares = np.diff(np.append(np.arange(0.0, rates, self.rates_per_block), rates)) / max(rates, 1)
        if not self.seed_blocks:
            lengths = np.zeros(0)
        parts = np.tile(np.outer(lengths, shares).ravel(), len(self.config.points))
        training = np.multiply.outer(self.costs.seed_s.ravel(), parts)
        training = (training + self.costs.batch_s.ravel()[:, None]).ravel()
        runs = np.diff(np.append(np.arange(0.0, self.parts, self.parts_per_block), self.parts))
        runs = runs[: self.part_blocks] / max(self.parts, 1)
        drawing = np.multiply.outer(self.costs.initialization_s.ravel(), runs).ravel()
        return np.concatenate([training, drawing])

    def longest_first(self, pending: np.ndarray) -> np.ndarray:
        """Pending block numbers, costliest first, ties in the plan's order."""
        return np.asarray(pending[np.argsort(-self.block_seconds()[pending], kind="stable")])

    def threads_of(self, seconds: float) -> int:
        """A core for each of many blocks, several cores for each of few."""
        return min(self.cores, max(1, round(self.cores * seconds / max(self.total_s, 1e-12))))


def make(
    config: SweepConfig,
    size: Dimensions,
    cores: int,
    seeds_per_block: int | None = None,
    rates_per_block: int | None = None,
    parts_per_block: int | None = None,
    gpus: int = 0,
) -> Plan:
    """Plans a sweep.

    Args:
        config: the sweep.
        size: of the data.
        cores: cores that the sweep runs on.
        seeds_per_block: from a store that exists; default: by the rule of `balanced_seeds`.
        rates_per_block: from a store that exists; default: by the rule of `balanced_rates`.
        parts_per_block: from a store that exists; default: by the rule of `sampling.parts_per_block`.
        gpus: GPUs that cells train on; 0: they train on cores.
    """
    costs = cost.estimate(config, size)
    if gpus:
        costs = gpu_cost.of_training(config, costs, size)
    seeds = seeds_per_block or balanced_seeds(config, costs, size, cores, gpus)
    rates = rates_per_block or balanced_rates(config, costs, seeds, cores, gpus)
    plan = Plan(config, costs, seeds, cores, rates, size, gpus=gpus)
    pairs_s, cores_s = costs.initialization_s, _cells_s(config, costs) / cores
    parts = parts_per_block or draws.parts_per_block(config, pairs_s, cores_s)
    return replace(plan, parts_per_block=parts)


def check_memory(
    plan: Plan,
    file: str,
    memory_bytes: int,
    holder: str = "there are {} (compute.memory)",
    trained: np.ndarray | None = None,
) -> None:
    """Refuses a grid with cells that no machine or GPU at hand can hold.

    Args:
        plan: the sweep's plan.
        file: the config's.
        memory_bytes: what cells may fill.
        holder: what of it the message says, with {} for the size.
        trained: which pairs of width and depth train, shape (widths, depths); None: all.

    Raises:
        InputError: names the first width and depth that do not fit.
    """
    for w, width in enumerate(plan.config.grid.width):
        for d, depth in enumerate(plan.config.grid.depth):
            needed = float(plan.costs.seed_bytes[w, d])
            if needed > memory_bytes and (trained is None or trained[w, d]):
                rates = len(plan.config.grid.learning_rates)
                cells = f"a seed's {rates} cells of width {width} and depth {depth}"
                found = f"{cells} need {format_bytes(needed)}"
                raise InputError(
                    f"{file}, grid.width",
                    found,
                    holder.format(format_bytes(max(0, memory_bytes))),
                    "Take a smaller width or fewer learning rates. Nothing was started.",
                )


def makespan_s(seconds: np.ndarray, devices: int) -> float:
    """Wall time of blocks on equal devices, longest first to whichever is free.

    >>> makespan_s(np.array([3.0, 2.0, 2.0]), 2)
    4.0
    """
    free = [0.0] * min(devices, max(len(seconds), 1))
    for block_s in np.sort(seconds)[::-1]:
        heapq.heapreplace(free, free[0] + float(block_s))
    return max(free)


def _cells_s(config: SweepConfig, costs: Costs) -> float:
    """Seconds of all cells on one core, before it is known how many batches they make."""
    return _training_s(config, costs) + float(costs.initialization_s.sum())


def _training_s(config: SweepConfig, costs: Costs) -> float:
    return float(costs.seed_s.sum()) * len(config.points) * len(config.grid.seeds)


def balanced_seeds(config: SweepConfig, costs: Costs, size: Dimensions, cores: int, gpus: int) -> int:
    """The most seeds that keep all cores or GPUs busy to the end; more where files would be too many."""
    seeds = len(config.grid.seeds)
    if config.training is None or seeds == 0:
        return 1
    balanced = int(_share_s(config, costs, cores, gpus) / max(float(costs.seed_s.max()), 1e-12))
    longest_row = len(config.grid.learning_rates) * max(cost.variable_values(config, size))
    chunk = max(1, CHUNK_BYTES // (8 * longest_row))
    wanted = min(max(balanced, math.ceil(seeds / _most_blocks(config, costs)), 1), chunk, seeds)
    return math.ceil(seeds / math.ceil(seeds / wanted))


def balanced_rates(config: SweepConfig, costs: Costs, seeds_per_block: int, cores: int, gpus: int) -> int:
    """All learning rates, or as many of a single seed's as keep all cores or GPUs busy to the end."""
    rates, seeds = max(1, len(config.grid.learning_rates)), len(config.grid.seeds)
    if config.training is None or seeds == 0 or seeds_per_block > 1:
        return rates
    balanced = int(_share_s(config, costs, cores, gpus) / max(float(costs.seed_s.max()) / rates, 1e-12))
    wanted = min(max(balanced, math.ceil(rates * seeds / _most_blocks(config, costs)), 1), rates)
    return math.ceil(rates / math.ceil(rates / wanted))


def _share_s(config: SweepConfig, costs: Costs, cores: int, gpus: int) -> float:
    """The longest that a block may take, as far as its cells can be divided."""
    if gpus:
        return max(_training_s(config, costs) / (BLOCKS_PER_GPU * gpus), SHORT_BLOCK_ON_GPU_S)
    return max(_cells_s(config, costs) / (BLOCKS_PER_CORE * cores), SHORT_BLOCK_S)


def _most_blocks(config: SweepConfig, costs: Costs) -> int:
    """Blocks of each pair of width and depth, at each point of the further axes, that make no more files."""
    assert config.training is not None
    limit = FEW_OBJECTS if config.cells <= FEW_CELLS else MANY_OBJECTS
    columns = costs.seed_s.size * len(config.points)
    return max(1, (limit - OTHER_OBJECTS) // (len(config.training.variables) * columns))
