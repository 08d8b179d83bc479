"""Convolutional networks: the infinite kernel beside neural-tangents, training beside a loop of autograd.

The peer lives in the environment that `infinite_ntk` makes. From the repository's root:
python -m benchmarks.convolution
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.environments import peer_python, run_peer
from benchmarks.infinite_ntk import AGREEMENT, REQUIREMENTS
from benchmarks.rows import Row, table
from widesweep.theory.activations import get
from widesweep.theory.convolution.convolutional_kernels import convolutional_kernels
from widesweep.workers.data import Data, DataConfig, load
from widesweep.workers.networks import Convolutional
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.block_training import TrainingBlock, run

CASE = {
    "activation": "relu", "padding": "zero", "readout": "pool", "weight_variance": 1.7, "bias_variance": 0.1,
    "filter_size": 3, "depth": 5, "dtype": "float64", "images": 200, "repeats": 2,
}  # fmt: skip
DEPTH, SAMPLES, STEPS, PAIRS, ETA = 2, 32, 50, 3, 0.01
SEEDS = {16: 8, 32: 4, 64: 2}  # by channels


def digits(count: int) -> np.ndarray:
    """Images as the network sees them: norm √P."""
    return 8.0 * load(DataConfig(samples=count)).x.reshape(count, 8, 8, 1)


def their_kernel(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tangent kernel by neural-tangents, and its wall times."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, cases, output = (Path(folder) / name for name in ("in.npy", "cases.json", "out.npz"))
        np.save(inputs, images)
        cases.write_text(json.dumps([CASE]))
        python = peer_python("neural-tangents", REQUIREMENTS)
        environment = {**os.environ, "JAX_ENABLE_X64": "1"}
        run_peer(python, "neural_tangents_convolution.py", inputs, cases, output, environment=environment)
        found = np.load(output)
        return found["ntk_0"], found["wall_s_0"]


def kernel_row() -> Row:
    """CNTK of 200 digits with pooling, depth 5, on all cores."""
    images, settings = digits(CASE["images"]), {k: CASE[k] for k in ("weight_variance", "bias_variance")}
    theirs, their_s = their_kernel(images)
    walls = []
    for _ in their_s:
        start = time.perf_counter()
        ours = convolutional_kernels(
            images, CASE["depth"], get("relu"), readout="pool", threads=os.cpu_count() or 1, **settings
        ).ntk
        walls.append(time.perf_counter() - start)
    worst = float(np.abs(ours / theirs - 1).max())
    if worst > AGREEMENT:
        raise SystemExit(f"kernels differ from neural-tangents by {worst:.1e}, more than {AGREEMENT:g}")
    work = f"CNTK with pooling, {CASE['images']} digits, depth {CASE['depth']}"
    return Row(work, "neural-tangents, float64", tuple(their_s / walls), "≥ 3", f"agree to {worst:.0e}")


class ConvolutionalLoop(nn.Module):
    """What a lab writes: convolutions, ReLU, and a dense layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        sizes = [1] + [channels] * DEPTH
        self.filters = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in itertools.pairwise(sizes)
        )
        self.output = nn.Linear(64 * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.filters:
            x = torch.relu(layer(x))
        output: Tensor = self.output(x.flatten(1))
        return output[:, 0]


def loop_s(data: Data, channels: int, seeds: int, dtype: torch.dtype) -> float:
    """Seconds of gradient descent on one network after another by autograd."""
    x = torch.as_tensor(data.x, dtype=dtype).view(-1, 1, 8, 8)
    y = torch.as_tensor(data.y, dtype=dtype)
    made = [ConvolutionalLoop(channels).to(dtype) for _ in range(seeds)]
    start = time.perf_counter()
    for network in made:
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
        for _ in range(STEPS):
            optimizer.zero_grad()
            (0.5 * (network(x) - y).square().sum()).backward()
            optimizer.step()
    return time.perf_counter() - start


def ours_s(data: Data, channels: int, seeds: int, dtype: str) -> float:
    """Seconds of the same by one block, its start and loss records included."""
    training = GradientDescent(steps=STEPS, records=2, dtype=dtype, measure=("loss",))
    block = TrainingBlock(
        width=channels, depth=DEPTH, seeds=tuple(range(seeds)), learning_rates=(1.0,),
        learning_rates_absolute=(ETA,), steps=training.recorded_steps(), threads=os.cpu_count() or 1,
        network=Convolutional(image=(8, 8, 1)), training=training, device="cpu",
    )  # fmt: skip
    start = time.perf_counter()
    run(block, data)
    return time.perf_counter() - start


def training_rows() -> list[Row]:
    """Batches of cells beside a loop, both on all cores."""
    data, found = load(DataConfig(samples=SAMPLES)), []
    for dtype in ("float64", "float32"):
        for channels, seeds in SEEDS.items():
            ours_s(data, channels, seeds, dtype)  # compiles
            pairs = [
                loop_s(data, channels, seeds, getattr(torch, dtype)) / ours_s(data, channels, seeds, dtype)
                for _ in range(PAIRS)
            ]
            work = (
                f"training, {seeds} networks of {channels} channels, depth {DEPTH}, {SAMPLES} digits, {dtype}"
            )
            found.append(Row(work, "a loop of autograd", tuple(pairs), "≥ 3"))
    return found


def rows() -> list[Row]:
    """Training, then the kernel."""
    return [*training_rows(), kernel_row()]


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    print(table(training_rows()))
    print(table([kernel_row()]))
