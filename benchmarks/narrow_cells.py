"""2,000 narrow cells, the whole command: `widesweep run` beside what a user would pick instead.

Every peer trains some of the same cells from the same starts, in an environment of its own, and its λ_min and
losses are checked against the store; the ratio is of cells per second.

From the repository's root: python -m benchmarks.narrow_cells
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from benchmarks.environments import peer_python, run_peer
from benchmarks.rows import Row, table
from widesweep.workers.data import DataConfig, load
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.networks import FullyConnected

WIDTHS, DEPTHS = (32, 64, 128), (1, 2, 3)
SEEDS = 223  # 2,007 cells
STEPS, RECORDS, SAMPLES = 600, 24, 24
PAIRS = 5
AGREEMENT = 1e-6  # of λ_min, in units of the largest one of the cell
NETWORK = FullyConnected(weight_variance=2.0)
CONFIG = f"""
name: narrow-cells
network: {{kind: fully_connected, weight_variance: 2.0}}
data: {{source: digits, samples: {SAMPLES}}}
grid: {{width: {list(WIDTHS)}, depth: {list(DEPTHS)}, seed: {SEEDS}, learning_rate: [0.5]}}
training: {{steps: {STEPS}, records: {RECORDS}, measure: [loss, kernel]}}
store: narrow.zarr
"""


@dataclass(frozen=True)
class Peer:
    """What a user would pick instead: its method in peers/narrow_cells.py, seeds a shape, and the goal."""

    method: str
    against: str
    seeds: int
    wanted: str


PEERS = (
    Peer("loop", "a loop of autograd networks, one process a core", 4, "≥ 8"),
    Peer("vmap", "torch.func: stacked models, vmapped", 16, "≥ 3"),
    Peer("tune", "Ray Tune, one cell a trial", 2, "≥ 50"),
)


def requirements() -> list[str]:
    torch_version = version("torch").split("+")[0]
    return [f"torch=={torch_version}", f"ray[tune]=={version('ray')}", f"numpy=={version('numpy')}"]


def ours(folder: Path) -> tuple[float, xr.Dataset]:
    """Seconds of the whole command, and its store."""
    (folder / "narrow.yaml").write_text(CONFIG)
    subprocess.run(["rm", "-rf", folder / "narrow.zarr"], check=True)
    command = [Path(sys.executable).with_name("widesweep"), "run", "narrow.yaml"]
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    wall_s = time.perf_counter() - start
    return wall_s, xr.open_datatree(folder / "narrow.zarr", engine="zarr")["training"].load().to_dataset()


def export(folder: Path, seeds: int, training: xr.Dataset) -> Path:
    """The starts of the first seeds of each shape, for the peers."""
    data = load(DataConfig(samples=SAMPLES))
    arrays = {"x": data.x, "y": data.y, "steps": training.step.values}
    shapes = [(width, depth) for width in WIDTHS for depth in DEPTHS]
    for s, (width, depth) in enumerate(shapes):
        layers = NETWORK.layers(width, depth, data.x.shape[1])
        starts = [
            initial_parameters(layers, (0, width, depth, seed), torch.float64, torch.device("cpu"))[0]
            for seed in range(seeds)
        ]
        arrays[f"rate_{s}"] = training.learning_rate_absolute.sel(width=width, depth=depth).values[0]
        arrays[f"scales_{s}"] = np.array([layer.weight_scale for layer in layers])
        for h in range(len(layers)):
            arrays[f"weight_{s}_{h}"] = np.stack([start[h].numpy() for start in starts])
    path = folder / f"starts-{seeds}.npz"
    np.savez(path, **arrays)
    return path


def theirs(peer: Peer, folder: Path, training: xr.Dataset) -> tuple[float, float]:
    """Seconds of the peer's whole command, and how far its numbers are from ours."""
    python = peer_python("torch", requirements())
    inputs, output = export(folder, peer.seeds, training), folder / "out.npz"
    cores = len(os.sched_getaffinity(0))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    start = time.perf_counter()
    run_peer(python, "narrow_cells.py", peer.method, inputs, output, cores, environment=environment)
    wall_s = time.perf_counter() - start
    found = np.load(output)
    mine = training.isel(seed=slice(peer.seeds)).transpose("width", "depth", "seed", "step", ...)
    least = mine.ntk_min_eigenvalue.values.reshape(found["least"].shape)
    scale = mine.ntk_max_eigenvalue.values.reshape(found["least"].shape).max(1, keepdims=True)
    loss = mine.loss.values.reshape(found["loss"].shape)
    difference = max(
        float((np.abs(found["least"] - least) / scale).max()),
        float((np.abs(found["loss"] - loss) / loss[:, :1]).max()),
    )
    return wall_s, difference


def rows() -> list[Row]:
    """Their seconds a cell over ours."""
    ratios: dict[str, list[float]] = {peer.method: [] for peer in PEERS}
    worst = dict.fromkeys(ratios, 0.0)
    pace = []
    shapes = len(WIDTHS) * len(DEPTHS)
    peer_python("torch", requirements())
    with tempfile.TemporaryDirectory() as name:
        for _ in range(PAIRS):
            mine_s, training = ours(Path(name))
            pace.append(shapes * SEEDS / mine_s)
            for peer in PEERS:
                their_s, difference = theirs(peer, Path(name), training)
                ratios[peer.method].append(their_s / (shapes * peer.seeds) * pace[-1])
                worst[peer.method] = max(worst[peer.method], difference)
    if max(worst.values()) > AGREEMENT:
        raise SystemExit(f"numbers differ: {worst}")
    work = (
        f"{shapes * SEEDS:,} cells, width 32–128, depth 1–3, {SAMPLES} samples, {STEPS} steps, "
        f"{RECORDS} kernels, the whole command"
    )
    note = f"ours {np.median(pace):.0f} cells/s; agree to {{}}; the peer trains {{}} of the cells"
    return [
        Row(
            work, peer.against, tuple(ratios[peer.method]), peer.wanted,
            note.format(f"{worst[peer.method]:.0e}", shapes * peer.seeds),
        )
        for peer in PEERS
    ]  # fmt: skip


if __name__ == "__main__":
    print(table(rows()))
