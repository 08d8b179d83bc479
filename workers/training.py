"""One block of cells, trained and measured."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from workers.data import Data
from workers.ensemble import Ensemble
from workers.networks.base import Network
from workers.observables import OBSERVABLES
from workers.observables.record import Record
from workers.optimizers.base import Stepper, Training
from workers.parameters import initial_parameters
from workers.start import Points, Start
from workers.variable import DIVERGED, DONE

DIVERGENCE = 1e6  # ‖r‖ / ‖r(0)‖ from which a cell counts as diverged
CHECK_STEPS = 32  # longest stretch of steps without a look for divergence
BATCH_BYTES = 4 * 2**20  # weights of a batch that stay near the core; a batch holds at least one cell


@dataclass(frozen=True)
class TrainingBlock:
    """Cells of one width and depth: a run of seeds, each at every learning rate.

    Attributes:
        width: neurons in each hidden layer.
        depth: hidden layers.
        seeds: cell seeds.
        learning_rates: as in the config.
        learning_rates_absolute: η of each, in the loss's own units.
        steps: recorded steps, ascending from 0.
        network: its config.
        training: its config.
        seed: the config's seed.
        memory_bytes: what the block may use.
        device: a torch device, or "auto" for a GPU where one is.
        threads: cores that the block may use.
    """

    width: int
    depth: int
    seeds: tuple[int, ...]
    learning_rates: tuple[float, ...]
    learning_rates_absolute: tuple[float, ...]
    steps: tuple[int, ...]
    network: Network
    training: Training
    seed: int = 0
    memory_bytes: int = 2**30
    device: str = "auto"
    threads: int = 1


def run(block: TrainingBlock, data: Data) -> xr.Dataset:
    """Trains a block's cells and measures them at its recorded steps.

    A cell's numbers depend on its coordinates and the config alone: cells are split into batches by memory,
    and each batch runs on one core, so that neither batch nor thread count changes a bit.

    Args:
        block: the cells.
        data: training points.

    Returns:
        `block.training.variables` with dims (seed, learning_rate, step, layer, mode), `status` without step;
        attributes `wall_s`, `device`, `threads`.
    """
    began = time.perf_counter()
    device = _device(block.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    results = _empty(block, len(data.x))
    runs = list(_seed_runs(block, data, device))
    intra = max(1, block.threads // len(runs))
    with ThreadPoolExecutor(
        min(block.threads, len(runs)), initializer=torch.set_num_threads, initargs=(intra,)
    ) as pool:
        for where, part in zip(
            runs, pool.map(lambda r: _train_seeds(block, data, device, r), runs), strict=True
        ):
            for name, values in part.items():
                results[name][where] = values
    return _dataset(block, results, len(data.x), wall_s=time.perf_counter() - began, device=str(device))


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _empty(block: TrainingBlock, samples: int) -> dict[str, np.ndarray]:
    sizes = {
        "seed": len(block.seeds),
        "learning_rate": len(block.learning_rates),
        "step": len(block.steps),
        "layer": block.depth + 1,
        "mode": samples,
    }
    return {
        v.name: np.full([sizes[d] for d in v.dims[2:]], v.fill_value, dtype=v.dtype)
        for v in block.training.variables
    }


def _seed_runs(block: TrainingBlock, data: Data, device: torch.device) -> Iterator[slice]:
    """Runs of seeds that train as one batch: bounded by memory, by cache on a CPU, shared by the cores."""
    samples, inputs = data.x.shape
    itemsize, rates = block.training.itemsize, len(block.learning_rates)
    parameters = block.network.parameters(block.width, block.depth, inputs)
    own = block.training.parameter_arrays * itemsize * parameters
    cell = block.network.memory_bytes(block.width, block.depth, samples, inputs, itemsize) + own
    per_seed = rates * cell
    fits = max(1, int(block.memory_bytes / block.threads / per_seed))
    if device.type == "cpu":
        weights = rates * itemsize * parameters
        fits = min(fits, max(1, BATCH_BYTES // weights), math.ceil(len(block.seeds) / block.threads))
    for first in range(0, len(block.seeds), fits):
        yield slice(first, min(first + fits, len(block.seeds)))


def _train_seeds(
    block: TrainingBlock, data: Data, device: torch.device, where: slice
) -> dict[str, np.ndarray]:
    """Trains the cells of a run of seeds as one batch; arrays (seeds, learning rates, …) by variable."""
    seeds, rates = block.seeds[where], len(block.learning_rates)
    start = _start(block, data, device, seeds)
    batch = start.batch(
        np.repeat(np.arange(len(seeds)), rates), np.tile(block.learning_rates_absolute, len(seeds))
    )
    flat = _train(block, batch, start)
    return {name: values.reshape(len(seeds), rates, *values.shape[1:]) for name, values in flat.items()}


def _start(block: TrainingBlock, data: Data, device: torch.device, seeds: tuple[int, ...]) -> Start:
    dtype = getattr(torch, block.training.dtype)
    layers = block.network.layers(block.width, block.depth, data.x.shape[1])
    coordinates = [(block.seed, block.width, block.depth, seed) for seed in seeds]
    points = (
        torch.as_tensor(p, dtype=dtype, device=device) for p in (data.x, data.y, data.test_x, data.test_y)
    )
    return Start(
        network=block.network,
        training=block.training,
        layers=layers,
        coordinates=coordinates,
        parameters=[initial_parameters(layers, each, dtype, device) for each in coordinates],
        points=Points(*points),
    )


def _train(block: TrainingBlock, batch: Ensemble, start: Start) -> dict[str, np.ndarray]:
    """The loop over looks; arrays (cells, …) by variable.

    Cells leave the batch when they diverge (their later records stay NaN) or when their residual has reached
    the rounding floor (their later records repeat the last).
    """
    results = {
        name: np.repeat(values[:1, 0], len(batch), 0)
        for name, values in _empty(block, len(start.targets)).items()
    }
    results["status"][:] = DONE
    place = np.arange(len(batch))  # of each cell of the batch among the results
    initial = np.full(len(batch), np.inf)
    recorded = {step: k for k, step in enumerate(block.steps)}
    stepper = block.training.stepper(batch, start)
    for step, following in itertools.pairwise(_looks(block.steps)):
        residual = batch.forward() - start.targets
        norm = residual.square().sum(1).sqrt().to("cpu", torch.float64).numpy()
        initial = norm if step == 0 else initial
        sound = norm <= DIVERGENCE * initial
        results["status"][place[~sound]] = DIVERGED
        place, initial, norm = place[sound], initial[sound], norm[sound]
        residual = _keep(batch, stepper, residual, sound)
        batch.backward()
        if step in recorded and len(place):
            _record(Record(batch, residual, start, step), results, place, recorded[step])
            moving = norm > block.training.rounding_floor * initial
            _repeat_last(results, place[~moving], recorded[step])
            place, initial = place[moving], initial[moving]
            residual = _keep(batch, stepper, residual, moving)
        if not len(place):
            break
        stepper.advance(residual, step, following)
    return results


def _looks(recorded: tuple[int, ...]) -> Iterator[int]:
    """The steps at which the batch is looked at: recorded ones, every CHECK_STEPS, and the last one twice."""
    for first, last in itertools.pairwise(recorded):
        yield first
        yield from range(first - first % CHECK_STEPS + CHECK_STEPS, last, CHECK_STEPS)
    yield from (recorded[-1], recorded[-1])


def _keep(batch: Ensemble, stepper: Stepper, residual: torch.Tensor, chosen: np.ndarray) -> torch.Tensor:
    """Shrinks the batch to the chosen cells, at the same step; their residuals."""
    if chosen.all():
        return residual
    places = torch.as_tensor(np.flatnonzero(chosen), device=residual.device)
    batch.keep(places)
    stepper.keep(places)
    batch.forward()
    batch.backward()
    return residual[places]


def _record(record: Record, results: dict[str, np.ndarray], place: np.ndarray, k: int) -> None:
    for observable in (OBSERVABLES[name] for name in record.start.training.measure):
        for variable, tensor in zip(observable.variables, observable.measure(record), strict=True):
            results[variable.name][place, k] = tensor.to("cpu", torch.float64).numpy()


def _repeat_last(results: dict[str, np.ndarray], place: np.ndarray, k: int) -> None:
    for name, values in results.items():
        if name != "status":
            values[place, k + 1 :] = values[place, k : k + 1]


def _dataset(
    block: TrainingBlock, results: dict[str, np.ndarray], samples: int, *, wall_s: float, device: str
) -> xr.Dataset:
    coords = {
        "seed": list(block.seeds),
        "learning_rate": list(block.learning_rates),
        "step": list(block.steps),
        "layer": range(1, block.depth + 2),
    }
    variables = {v.name: (v.dims[2:], results[v.name]) for v in block.training.variables}
    if any("mode" in v.dims for v in block.training.variables):
        coords["mode"] = range(1, samples + 1)
    return xr.Dataset(variables, coords, {"wall_s": wall_s, "device": device, "threads": block.threads})
