"""One block of cells, trained and measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr

from widesweep.workers.data import Data, Dimensions
from widesweep.workers.engine import matmul
from widesweep.workers.engine.backend import BackendName
from widesweep.workers.engine.compiled import lanczos
from widesweep.workers.engine.device import resolved
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.module_ensemble import state_of
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.engine.sync_steps import sync_groups
from widesweep.workers.measurements import named, needs
from widesweep.workers.measurements.record import Record
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.module import Module
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper
from widesweep.workers.training import checkpoint as checkpoints
from widesweep.workers.training import costs
from widesweep.workers.training.checkpoint import FINISHED, Batch, Flush, Ledger, States
from widesweep.workers.training.step_window import StepWindow, group_size
from widesweep.workers.variable import DIVERGED, DONE

DIVERGENCE = 1e6  # ‖αf − y‖ over that at the start, from which a cell counts as diverged
BATCH_BYTES = 4 * 2**20  # weights of a batch that stay near the core; a batch holds at least one cell
POLL_S = 0.1  # longest time without a check for an interrupt
NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # how torch and CUDA report it


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
        split: the factor by which batches are smaller, and fewer train at once, after memory ran out.
        backend: "compiled" loops where a CPU has them, or "torch" alone, the reference.
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
    split: int = 1
    backend: BackendName = "compiled"


def prepare(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> None:
    """Loads machine code of a CPU's steps and records that such cells use: once in a process, for seconds."""
    if "norms" in needs(training.measure):
        lanczos.load(np.dtype(training.dtype))
    if not costs.has_compiled_passes(network, width, depth, size):
        return
    from widesweep.workers.engine.compiled import segment, sync_step

    sync_step.load(np.dtype(training.dtype))
    if training.skips_between_sync_steps:
        segment.load(np.dtype(training.dtype))


def run(
    block: TrainingBlock,
    data: Data,
    flush: Flush | None = None,
    checkpoint: Mapping[str, np.ndarray] | None = None,
) -> xr.Dataset:
    """Trains a block's cells and measures them at its recorded steps.

    A cell's numbers depend on its coordinates and the config alone: cells are split into batches by memory,
    and each batch runs on one core, so that neither batch nor thread count changes a bit; nor does an end
    in the middle, if training goes on from the checkpoint of the last flush.

    Args:
        block: the cells.
        data: training points.
        flush: is given what is measured so far and a checkpoint whenever it says that it is due, and once
            more when the calling thread is interrupted.
        checkpoint: of the same cells, as `flush` was given it; default: training begins at step 0.

    Returns:
        `block.training.variables` with dims (seed, learning_rate, step, layer, mode), `status` without step;
        attributes `wall_s`, `device`, `threads`.

    Raises:
        MemoryError: a batch does not fit; a larger `block.split` makes batches smaller.
        KeyboardInterrupt: the calling thread was interrupted; the last flush holds all that was done.
    """
    began = time.perf_counter()
    device = resolved(block.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    ledger, states = _ledger(block, lengths(data), flush, checkpoint)
    batches = list(_batches(block, data, device, ledger.steps, states))
    parallel = max(1, min(block.threads // block.split, len(batches)))
    intra = max(1, block.threads // parallel)
    matmul.set_threads(intra if parallel == 1 else 1)
    with ThreadPoolExecutor(parallel, initializer=torch.set_num_threads, initargs=(intra,)) as pool:
        train = partial(_train_batch, block, data, device, ledger)
        _finish(ledger, batches, partial(pool.submit, train))
    measured = records(block, ledger.results, lengths(data))
    wall_s = time.perf_counter() - began
    return measured.assign_attrs(wall_s=wall_s, device=str(device), threads=block.threads)


def _finish(ledger: Ledger, batches: list[Batch], submit: Callable[[Batch], Future[None]]) -> None:
    """Trains all batches; from the first interrupt or defect on, each stops at its next sync step."""
    try:
        waiting = {submit(batch) for batch in batches}
        while waiting:
            ended, waiting = wait(waiting, POLL_S, FIRST_EXCEPTION)
            for each in ended:
                each.result()
    except BaseException as error:
        ledger.stop(flush=isinstance(error, KeyboardInterrupt))
        while (
            not ledger.idle
        ):  # the pool does not know a thread whose start was interrupted, so its end is not enough
            time.sleep(POLL_S / 10)
        if isinstance(error, RuntimeError) and any(word in str(error) for word in NO_MEMORY):
            raise MemoryError(str(error).splitlines()[0]) from error
        raise


def lengths(data: Data) -> dict[str, int]:
    """Along the dimensions of a record that the data have."""
    return {"mode": data.y.size, "prediction": data.test_y.size}


def records(block: TrainingBlock, results: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> xr.Dataset:
    """Arrays by cell as variables of a block; of a flush's results, what is not measured yet is fill.

    Args:
        block: the cells.
        results: as `Flush.write` is given them: by variable, shape (cells, …).
        sizes: `lengths` of the data.
    """
    shape = (len(block.seeds), len(block.learning_rates))
    coords: dict[str, Sequence[float]] = {
        "seed": list(block.seeds),
        "learning_rate": list(block.learning_rates),
        "step": list(block.steps),
        "layer": range(1, block.depth + 2),
    }
    variables = {
        v.name: (v.dims[2:], results[v.name].reshape(*shape, *results[v.name].shape[1:]))
        for v in block.training.variables
    }
    present = {dim for variable in block.training.variables for dim in variable.dims}
    coords |= {dim: range(1, length + 1) for dim, length in sizes.items() if dim in present}
    return xr.Dataset(variables, coords)


def _ledger(
    block: TrainingBlock,
    sizes: Mapping[str, int],
    flush: Flush | None,
    checkpoint: Mapping[str, np.ndarray] | None,
) -> tuple[Ledger, States | None]:
    """What is measured before the first batch starts, and what its cells go on from."""
    cells = len(block.seeds) * len(block.learning_rates)
    if checkpoint is None:
        return Ledger(_empty(block, cells, sizes), np.zeros(cells, dtype=np.int64), flush), None
    results, steps, states = checkpoints.opened(checkpoint)
    return Ledger(results, steps, flush), states


def _empty(block: TrainingBlock, cells: int, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    sizes = {"step": len(block.steps), "layer": block.depth + 1, **sizes}
    return {
        v.name: np.full([cells, *(sizes[d] for d in v.dims[4:])], v.fill_value, dtype=v.dtype)
        for v in block.training.variables
    }


def _batches(
    block: TrainingBlock, data: Data, device: torch.device, steps: np.ndarray, states: States | None
) -> Iterator[Batch]:
    """Unfinished cells, those at one step together: bounded by memory, by cache on a CPU, shared by cores."""
    samples, inputs = data.x.shape
    size, rates = Dimensions(samples, inputs, data.outputs, len(data.test_x)), len(block.learning_rates)
    cell = costs.memory_bytes(block.network, block.training, block.width, block.depth, size)
    seeds = max(1, int(block.memory_bytes / block.threads / (rates * cell)))
    if device.type == "cpu":
        parameters = block.network.parameters(block.width, block.depth, inputs, data.outputs)
        numbers = block.training.itemsize * parameters
        weights = rates * (cell if block.network.takes_images else numbers)  # patches outweigh filters
        seeds = min(seeds, max(1, BATCH_BYTES // weights), math.ceil(len(block.seeds) / block.threads))
    most = max(1, seeds * rates // block.split)
    for step in np.unique(steps[steps != FINISHED])[::-1]:
        cells = np.flatnonzero(steps == step)
        for first in range(0, len(cells), most):
            chosen = cells[first : first + most]
            yield Batch(chosen, states.of(chosen) if states is not None and step else None)


def _train_batch(
    block: TrainingBlock, data: Data, device: torch.device, ledger: Ledger, batch: Batch
) -> None:
    """Trains cells as one batch, from their start or from their states."""
    ledger.begin(batch)
    try:
        rates = len(block.learning_rates)
        used, start_of = np.unique(batch.cells // rates, return_inverse=True)
        start = _start(block, data, device, tuple(block.seeds[s] for s in used))
        ensemble = start.batch(start_of, np.asarray(block.learning_rates_absolute)[batch.cells % rates])
        ledger.finish(batch, _train(block, ensemble, start, batch, ledger))
    finally:
        ledger.leave(batch)


def _start(block: TrainingBlock, data: Data, device: torch.device, seeds: tuple[int, ...]) -> InitialState:
    dtype = getattr(torch, block.training.dtype)
    layers = block.network.layers(block.width, block.depth, data.x.shape[1], data.outputs)
    coordinates = [(block.seed, block.width, block.depth, seed) for seed in seeds]
    points = (
        torch.as_tensor(p, dtype=dtype, device=device)
        for p in (data.x, data.y.ravel(), data.test_x, data.test_y.ravel())
    )
    return InitialState(
        network=block.network,
        training=block.training,
        layers=layers,
        coordinates=coordinates,
        parameters=[_parameters(block, data, layers, each, dtype, device) for each in coordinates],
        points=Points(*points),
        backend=block.backend,
    )


def _parameters(
    block: TrainingBlock,
    data: Data,
    layers: tuple[Layer, ...],
    coordinates: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[list[torch.Tensor], list[torch.Tensor | None]]:
    """Of one start."""
    if isinstance(block.network, Module):
        made = block.network.built(coordinates, data.x.shape[1], data.outputs)
        return state_of(made, dtype, device)
    return initial_parameters(layers, coordinates, dtype, device)


def _train(
    block: TrainingBlock, ensemble: Ensemble, start: InitialState, batch: Batch, ledger: Ledger
) -> dict[str, np.ndarray]:
    """The loop over sync steps; arrays (cells, …) by variable.

    Cells leave the batch when they diverge (their later records stay NaN) or when their residual has reached
    the rounding floor (their later records repeat the last).
    """
    results = {name: values[batch.cells] for name, values in ledger.results.items()}
    results["status"][:] = DONE
    until = block.training.until
    if until is not None:
        results["stopped_at"][:] = block.training.steps
    place = np.arange(len(ensemble))  # of each cell of the batch among the results
    recorded = {step: k for k, step in enumerate(block.steps)}
    stepper = block.training.moving(ensemble, start)
    initial = _restored(ensemble, stepper, batch)
    names = block.training.measure
    kernels = "kernel" in needs(names)
    for group in sync_groups(block.steps, batch.step, group_size(block.training, ensemble, stepper)):
        first = group.pairs[0][0]
        ledger.sync(batch, results, partial(_states, ensemble, stepper, batch.cells[place], initial, first))
        window = StepWindow(ensemble, stepper, start, group, kernels=kernels)
        for k, (step, following) in enumerate(group.pairs):
            sizes = window.sizes(k)
            initial = sizes if step == 0 else initial
            sound = sizes[:, 0] <= DIVERGENCE * initial[:, 0]
            results["status"][place[~sound]] = DIVERGED
            place, initial, sizes = place[sound], initial[sound], sizes[sound]
            window.keep(sound)
            if step in recorded and len(place):
                record = Record(ensemble, window.residuals[k], start, step, window.kernel(k))
                _record(names, record, results, place, recorded[step], reads_weights=True)
                if following == step + 1 and stepper.keeps_step_arrays:
                    window.advance(step, following)
                _record(names, record, results, place, recorded[step], reads_weights=False)
                moving = sizes[:, 1] > block.training.rounding_floor * initial[:, 1]
                if until is not None:
                    above = (record.loss > until.loss).cpu().numpy()
                    results["stopped_at"][place[~above]] = step
                    moving &= above
                _repeat_last(results, place[~moving], recorded[step])
                place, initial = place[moving], initial[moving]
                window.keep(moving)
            if not len(place) or step == following:
                return results
            window.advance(step, following)
    return results


def _states(
    ensemble: Ensemble, stepper: Stepper, cells: np.ndarray, initial: np.ndarray, step: int
) -> States:
    """All that a batch's next sync step depends on, beside the config."""
    arrays = {"step": np.full(len(cells), step, dtype=np.int64), "initial": initial.copy()}
    for name, tensor in _moving(ensemble, stepper):
        arrays[name] = tensor.to("cpu", copy=True).contiguous().numpy()
    return States(cells, arrays)


def _restored(ensemble: Ensemble, stepper: Stepper, batch: Batch) -> np.ndarray:
    """Puts a batch and its optimiser where its states say; the cells' sizes at step 0, inf: unknown yet."""
    if batch.states is None:
        return np.full((len(ensemble), 2), np.inf)
    for name, tensor in _moving(ensemble, stepper):
        tensor.copy_(torch.from_numpy(np.array(batch.states.arrays[name])))
    return np.array(batch.states.arrays["initial"])


def _moving(ensemble: Ensemble, stepper: Stepper) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors (B, …) that training changes, by name."""
    for kind, tensors in (("parameter", ensemble.trained.tensors), ("optimizer", stepper.state)):
        for k, tensor in enumerate(tensors):
            yield f"{kind}.{k}", tensor


def _record(
    names: tuple[str, ...],
    record: Record,
    results: dict[str, np.ndarray],
    place: np.ndarray,
    k: int,
    *,
    reads_weights: bool,
) -> None:
    """Measures what reads weights, or what does not."""
    chosen = (named(name) for name in names)
    for measurement in (each for each in chosen if each.reads_weights == reads_weights):
        for variable, tensor in zip(measurement.variables, measurement.measure(record), strict=True):
            results[variable.name][place, k] = tensor.to("cpu", torch.float64).numpy()


def _repeat_last(results: dict[str, np.ndarray], place: np.ndarray, k: int) -> None:
    for name, values in results.items():
        if name not in ("status", "stopped_at"):
            values[place, k + 1 :] = values[place, k : k + 1]
