"""Steps of batches on a GPU: beside stacked networks under autograd, and beside the GPU's own limits.

From the repository's root: python -m benchmarks.gpu; without a GPU there is nothing to measure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import Row, table
from widesweep.pipeline.plan.gpu_cost import PASSES, WEIGHT_PASSES
from widesweep.workers.data import DataConfig, Dimensions, load
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training import costs

NETWORK, GPU = FullyConnected(weight_variance=2.0), torch.device("cuda")
PAIRS, STEPS, RATE = 5, 33, 1e-4
SIZES = (  # width, depth, samples, cells
    (32, 2, 24, 1024),
    (64, 2, 24, 16),
    (64, 2, 24, 1024),
    (128, 2, 24, 512),
    (512, 3, 64, 8),
    (1024, 3, 64, 32),
    (2048, 3, 128, 8),
)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of work on the GPU, to its end."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def started(width: int, depth: int, samples: int, cells: int, dtype: str) -> tuple[InitialState, Ensemble]:
    """So many cells at step 0 on the digits."""
    data, numbers = load(DataConfig(samples=samples)), getattr(torch, dtype)
    training = GradientDescent(steps=STEPS, records=2, dtype=dtype)
    layers = NETWORK.layers(width, depth, data.x.shape[1])
    coordinates = [(0, width, depth, seed) for seed in range(cells)]
    parameters = [initial_parameters(layers, each, numbers, GPU) for each in coordinates]
    x, y = (torch.as_tensor(p, dtype=numbers, device=GPU) for p in (data.x, data.y))
    start = InitialState(NETWORK, training, layers, coordinates, parameters, Points(x, y, x[:0], y[:0]))
    return start, start.batch(np.arange(cells), np.full(cells, RATE))


def by_autograd(weights: list[Tensor], scales: list[float], x: Tensor, y: Tensor, steps: int) -> None:
    """The same networks stacked into batched products, as a user writes it; plain descent in place."""
    for _ in range(steps):
        a = x.expand(len(weights[0]), -1, -1)
        for w, scale in zip(weights[:-1], scales[:-1], strict=True):
            a = torch.relu(scale * torch.bmm(a, w))
        outputs = (scales[-1] * torch.bmm(a, weights[-1])).flatten(1)
        slopes = torch.autograd.grad(0.5 * (outputs - y).square().sum(), weights)
        with torch.no_grad():
            for w, slope in zip(weights, slopes, strict=True):
                w.sub_(slope, alpha=RATE)


def limits(dtype: torch.dtype) -> tuple[float, float]:
    """FLOP/s of a large product and bytes/s of a large copy, read and written."""
    a = torch.randn(8192, 8192, dtype=dtype, device=GPU)
    out = torch.empty_like(a)
    product = min(seconds(partial(torch.mm, a, a, out=out)) for _ in range(PAIRS))
    copy = min(seconds(partial(out.copy_, a)) for _ in range(PAIRS))
    return 2.0 * 8192**3 / product, 2.0 * a.numel() * a.element_size() / copy


def least_s(start: InitialState, cells: int, flops_per_s: float, bytes_per_s: float) -> float:
    """Time of a step that its operations or its bytes need, whichever is longer."""
    _, width, depth, _ = start.coordinates[0]
    samples, inputs = start.points.x.shape
    flops = costs.steps_flops(NETWORK, start.training, width, depth, Dimensions(samples, inputs)) / STEPS
    inner = sum(layer.fan_in * layer.fan_out for layer in start.layers[1:])
    numbers = WEIGHT_PASSES * inner + PASSES * depth * samples * width
    return cells * max(flops / flops_per_s, numbers * start.training.itemsize / bytes_per_s)


def sizes() -> list[Row]:
    """Every size in both precisions."""
    found: list[Row] = []
    for dtype in ("float64", "float32"):
        machine = limits(getattr(torch, dtype))
        for size in SIZES:
            found += _of_size(*size, dtype, machine)
            torch.cuda.empty_cache()
    return found


def _of_size(
    width: int, depth: int, samples: int, cells: int, dtype: str, machine: tuple[float, float]
) -> list[Row]:
    start, batch = started(width, depth, samples, cells, dtype)
    stepper, x, y = start.training.stepper(batch, start), start.points.x, start.targets
    others = [w.clone().requires_grad_() for w in batch.weights]
    scales = [layer.weight_scale for layer in start.layers]

    def ours() -> None:
        stepper.advance(batch.forward() - y, 0, STEPS)

    theirs = partial(by_autograd, others, scales, x, y, STEPS)
    ours(), theirs()
    moved = zip(batch.weights, others, batch.initial_weights, strict=True)
    agree = max(float(((a - b).norm() / (a - first).norm()).detach()) for a, b, first in moved)
    times = np.array([(seconds(ours), seconds(theirs)) for _ in range(PAIRS)])
    shares = least_s(start, cells, *machine) * STEPS / times[:, 0]
    work = f"{cells} cells of width {width}, depth {depth}, {samples} samples, {dtype}"
    step_us = float(np.median(times[:, 0])) / STEPS / cells * 1e6
    note = f"{step_us:.2f} µs a step and cell; their movements agree to {agree:.0e}"
    against = "stacked networks by autograd"
    return [
        Row(f"training, {work}", against, tuple(times[:, 1] / times[:, 0]), "> 1", note),
        Row(f"training, {work}", "its products or its memory, whichever limits", tuple(shares), "—"),
    ]


def section() -> str:
    """What RESULTS.md says of it."""
    if not torch.cuda.is_available():
        return "Steps on a GPU: torch saw none on this machine."
    name = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"Steps on a GPU ({name}), {STEPS} of them between two sync steps:\n\n{table(sizes())}"


if __name__ == "__main__":
    print(section())
