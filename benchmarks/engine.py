"""The batched engine beside what a user would write, and beside the machine's own matrix products.

From the repository's root: python -m benchmarks.engine
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import threadpoolctl
import torch
from torch import Tensor
from torch.func import functional_call, jacrev

from benchmarks.environments import peer_python, run_peer
from benchmarks.infinite_ntk import REQUIREMENTS as NEURAL_TANGENTS
from benchmarks.rows import Row, table
from widesweep.workers.data import Data, DataConfig, Dimensions, load
from widesweep.workers.engine import matmul, memory_layout
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.engine.tangent_kernels import tangent_kernel
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.optimizers.optimizer import Stepper
from widesweep.workers.training import costs
from widesweep.workers.training.block_training import TrainingBlock, run

T = TypeVar("T")
NETWORK = FullyConnected(weight_variance=2.0)
CPU = torch.device("cpu")
PAIRS, STEPS, STRETCHES = 5, 32, 4
THIN, THIN_REPEATS = 16, 50  # products of ours at once, on each core; until others' threads cease to spin


def block(
    data: Data, width: int, depth: int, seeds: int, steps: int, records: int, dtype: str
) -> TrainingBlock:
    kernel = NETWORK.tangent_kernel(data.x @ data.x.T, depth)
    eta = float(0.5 / np.linalg.eigvalsh(kernel)[-1])
    training = GradientDescent(steps=steps, records=records, dtype=dtype, measure=("loss", "kernel"))
    recorded = training.recorded_steps()
    return TrainingBlock(
        width, depth, tuple(range(seeds)), (1.0,), (eta,), recorded, NETWORK, training, device="cpu"
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def seconds(work: Callable[[], object]) -> float:
    return timed(work)[0]


class Plain(torch.nn.Module):
    """The same network as a user writes it."""

    def __init__(self, b: TrainingBlock, seed: int, inputs: int) -> None:
        super().__init__()
        layers = NETWORK.layers(b.width, b.depth, inputs)
        dtype = getattr(torch, b.training.dtype)
        weights, _ = initial_parameters(layers, (b.seed, b.width, b.depth, seed), dtype, CPU)
        self.hidden = torch.nn.ParameterList(weights[:-1])
        self.last = torch.nn.Parameter(weights[-1])
        self.scales = [layer.weight_scale for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        for scale, weight in zip(self.scales[:-1], self.hidden, strict=True):
            x = torch.relu(scale * (x @ weight))
        return (self.scales[-1] * (x @ self.last))[:, 0]


def autograd_loop(b: TrainingBlock, data: Data) -> np.ndarray:
    """One cell after another: autograd, torch's SGD, kernels by jacrev; λ_min, (seeds, records)."""
    dtype = getattr(torch, b.training.dtype)
    x, y = torch.as_tensor(data.x, dtype=dtype), torch.as_tensor(data.y, dtype=dtype)
    least = np.empty((len(b.seeds), len(b.steps)))
    for s, seed in enumerate(b.seeds):
        net = Plain(b, seed, data.x.shape[1])
        optimizer = torch.optim.SGD(net.parameters(), lr=b.learning_rates_absolute[0])
        for step in range(b.steps[-1] + 1):
            if step in b.steps:
                least[s, b.steps.index(step)] = float(torch.linalg.eigvalsh(functional_kernel(net, x))[0])
            optimizer.zero_grad()
            (0.5 * (net(x) - y).square().sum()).backward()
            optimizer.step()
    return least


def functional_kernel(net: torch.nn.Module, x: Tensor) -> Tensor:
    """G by torch.func.jacrev over the whole sample, as its tutorial has it."""
    parameters = {name: value.detach() for name, value in net.named_parameters()}
    jacobian = jacrev(lambda p: functional_call(net, p, (x,)))(parameters)
    return sum(j.flatten(1) @ j.flatten(1).T for j in jacobian.values())


def narrow() -> list[Row]:
    """Narrow cells, engine alone on one core: a loop of autograd networks over our batch, a cell each."""
    data, rows = load(DataConfig(samples=24)), []
    for width in (32, 64, 128):
        mine, theirs = (
            block(data, width, 2, seeds=seeds, steps=600, records=24, dtype="float64") for seeds in (32, 4)
        )
        ratios, difference = [], 0.0
        for _ in range(PAIRS):
            our_s, result = timed(partial(run, mine, data))
            their_s, least = timed(partial(autograd_loop, theirs, data))
            ratios.append(their_s / len(theirs.seeds) / (our_s / len(mine.seeds)))
            ours = result.ntk_min_eigenvalue.values[: len(theirs.seeds), 0]
            difference = max(difference, float(np.abs(ours / least - 1.0).max()))
        work = f"cells of width {width}, depth 2, 24 samples, 600 steps, 24 kernels, one core"
        rows.append(
            Row(
                work,
                "a loop of autograd networks",
                tuple(ratios),
                "≥ 10",
                f"λ_min agrees to {difference:.0e}",
            )
        )
    return rows


def product_peak(dtype: torch.dtype, cores: int = 1, size: int = 1536) -> float:
    """FLOP/s of the fastest product: a large square one by torch, by NumPy, thin ones by ours."""
    a = torch.randn(size, size, dtype=dtype)
    out, many = torch.empty_like(a), THIN * cores
    one, result = a.numpy(), out.numpy()
    tall, thin = (memory_layout.copy(each[None]).expand(many, -1, -1) for each in (a[:, :256], a[:256, :64]))
    ours = partial(matmul.multiply, tall, thin, out.new_empty(many, size, 64))
    torch.set_num_threads(cores)
    matmul.set_threads(cores)
    with threadpoolctl.threadpool_limits(cores, "blas"):
        rates = (
            (2.0 * size**3, PAIRS, partial(torch.mm, a, a, out=out)),
            (2.0 * size**3, PAIRS, partial(np.matmul, one, one, out=result)),
            (2.0 * many * size * 256 * 64, THIN_REPEATS, ours),
        )
        peak = max(flops / min(seconds(work) for _ in range(1 + times)) for flops, times, work in rates)
    torch.set_num_threads(1)
    matmul.set_threads(1)
    return peak


def stepping(batch: Ensemble, y: Tensor, stepper: Stepper, *, kernels: bool) -> None:
    """One segment between two sync steps, or a sync step and its kernel at every step."""
    if kernels:
        stepper.advance_recording(STEPS, kernels=True)
    else:
        stepper.advance(batch.forward() - y, 0, STEPS)


def wide() -> list[Row]:
    """Wide cells on one core: the share of the machine's peak, and what a kernel at every step adds."""
    rows = []
    for dtype, wanted in (("float32", "≥ 0.85"), ("float64", "≥ 0.80")):
        for width, samples in ((512, 64), (1024, 32), (1024, 128)):
            data = load(DataConfig(samples=samples))
            b = block(data, width, 3, seeds=1, steps=10, records=2, dtype=dtype)
            start, batch = ensemble(b, data)
            y, stepper = start.targets, start.training.stepper(batch, start)
            stepping(batch, y, stepper, kernels=True)  # compiled now, or read
            size = Dimensions(*data.x.shape)
            flops = costs.steps_flops(NETWORK, start.training, width, 3, size)
            shares, extra = [], []
            for _ in range(PAIRS):
                peak = product_peak(getattr(torch, dtype))
                works = [partial(stepping, batch, y, stepper, kernels=k) for k in (False, True)]
                plain, with_kernels = (_warm_seconds(each) for each in works)
                shares.append(flops / plain / peak)
                extra.append(with_kernels / plain)
            work = f"width {width}, depth 3, {samples} samples, {dtype}, one core"
            rows.append(Row(f"training, {work}", "the machine's product peak", tuple(shares), wanted))
            rows.append(
                Row(f"G at every step, {work}", "the same without G", tuple(extra), "≤ 1.10", "times as long")
            )
    return rows


def wide_on_all_cores() -> list[Row]:
    """The same with a batch on each core, as a block of several batches trains, beside all cores' peak."""
    rows, cores = [], os.cpu_count() or 1
    for dtype, wanted in (("float32", "≥ 0.85"), ("float64", "≥ 0.80")):
        for width, samples in ((512, 64), (1024, 32), (1024, 128), (2048, 128)):
            data = load(DataConfig(samples=samples))
            b = block(data, width, 3, seeds=1, steps=10, records=2, dtype=dtype)
            made = [ensemble(b, data) for _ in range(cores)]
            size = Dimensions(*data.x.shape)
            flops = cores * STRETCHES * costs.steps_flops(NETWORK, made[0][0].training, width, 3, size)
            work = [
                partial(_stretches, batch, start.targets, start.training.stepper(batch, start))
                for start, batch in made
            ]
            with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                together = partial(_all_at_once, pool, work)
                together()
                shares = [
                    flops / _warm_seconds(together) / product_peak(getattr(torch, dtype), cores)
                    for _ in range(PAIRS)
                ]
            name = f"training, width {width}, depth 3, {samples} samples, {dtype}, {cores} cores"
            rows.append(Row(name, "these cores' product peak", tuple(shares), wanted))
    return rows


def _warm_seconds(work: Callable[[], object]) -> float:
    """Time of the second of two calls."""
    work()
    return seconds(work)


def _stretches(batch: Ensemble, y: Tensor, stepper: Stepper) -> None:
    for _ in range(STRETCHES):
        stepping(batch, y, stepper, kernels=False)


def _all_at_once(pool: ThreadPoolExecutor, work: list[Callable[[], None]]) -> None:
    for each in [pool.submit(one) for one in work]:
        each.result()


def ensemble(b: TrainingBlock, data: Data) -> tuple[InitialState, Ensemble]:
    """A block's cells at step 0, and the batch of them all at a rate that hardly moves them."""
    dtype = getattr(torch, b.training.dtype)
    layers = NETWORK.layers(b.width, b.depth, data.x.shape[1])
    coordinates = [(b.seed, b.width, b.depth, seed) for seed in b.seeds]
    starts = [initial_parameters(layers, each, dtype, CPU) for each in coordinates]
    x, y = torch.as_tensor(data.x, dtype=dtype), torch.as_tensor(data.y, dtype=dtype)
    points = Points(x, y, x[:0], y[:0])
    start = InitialState(
        NETWORK, GradientDescent(steps=STEPS, records=2), layers, coordinates, starts, points
    )
    return start, start.batch(np.arange(len(starts)), np.full(len(starts), 1e-6))


def whole_kernel(batch: Ensemble, cores: int) -> Tensor:
    matmul.set_threads(cores)
    batch.forward()
    kernel = tangent_kernel(batch)[0]
    matmul.set_threads(1)
    return kernel


def one_kernel() -> list[Row]:
    """One empirical tangent kernel at width 1024, 64 samples, depth 3."""
    data = load(DataConfig(samples=64))
    b = block(data, 1024, 3, seeds=1, steps=2, records=2, dtype="float64")
    _, batch = ensemble(b, data)
    net, x = Plain(b, 0, data.x.shape[1]), torch.as_tensor(data.x)
    ratios, difference = [], 0.0
    for _ in range(PAIRS):
        mine, ours = timed(partial(whole_kernel, batch, 1))
        theirs, reference = timed(partial(functional_kernel, net, x))
        ratios.append(theirs / mine)
        difference = max(difference, float((ours - reference).abs().max() / reference.abs().max()))
    work = "one empirical NTK, width 1024, 64 samples, depth 3"
    walls, kernel, implementation = their_empirical_kernel(batch, data)
    cores = os.cpu_count() or 1
    mine = [seconds(partial(whole_kernel, batch, cores)) for _ in range(PAIRS)]
    other = float(np.abs(whole_kernel(batch, cores).numpy() - kernel).max() / np.abs(kernel).max())
    peer = f"neural-tangents, {implementation.lower().replace('_', ' ')}, compiled; all cores, ours too"
    return [
        Row(work, "torch.func.jacrev, one core", tuple(ratios), "≥ 40", f"entries agree to {difference:.0e}"),
        Row(work, peer, tuple(walls / np.array(mine)), "≥ 40", f"entries agree to {other:.0e}"),
    ]


def their_empirical_kernel(batch: Ensemble, data: Data) -> tuple[np.ndarray, np.ndarray, str]:
    """Wall times of neural-tangents' fastest implementation, its kernel, and its name."""
    with tempfile.TemporaryDirectory() as name:
        inputs, output = Path(name) / "in.npz", Path(name) / "out.npz"
        weights = {f"weight_{h}": w[0].numpy() for h, w in enumerate(batch.weights)}
        scales = {f"scale_{h}": layer.weight_scale for h, layer in enumerate(batch.layers)}
        np.savez(inputs, x=data.x, **weights, **scales)
        python = peer_python("neural-tangents", NEURAL_TANGENTS)
        environment = {**os.environ, "JAX_ENABLE_X64": "1"}
        run_peer(python, "neural_tangents_empirical.py", inputs, output, PAIRS, environment=environment)
        found = np.load(output)
        return found["wall_s"], found["kernel"], str(found["implementation"])


def rows() -> list[Row]:
    """All of the above; on one core what does not say otherwise."""
    torch.set_num_threads(1)
    return [*narrow(), *wide(), *wide_on_all_cores(), *one_kernel()]


if __name__ == "__main__":
    print(table(rows()))
