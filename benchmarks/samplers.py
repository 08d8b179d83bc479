"""Random networks without weight matrices beside random networks with them, in draws per second on one core.

From the repository's root: python -m benchmarks.samplers
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch

from benchmarks.rows import Row, table
from widesweep.workers.networks import FullyConnected
from widesweep.workers.random_networks.conditional_covariance import sample_points
from widesweep.workers.random_networks.conditional_variance import sample

WIDTH, DEPTH = 1024, 16
PAIRS, THEIR_DRAWS = 5, 6
STANDARD_ERRORS = 5.0


def with_matrices(network: FullyConnected, x: torch.Tensor, draws: int) -> np.ndarray:
    """Covariance of an output on these inputs given the hidden layers: (draws, k, k), weights and all."""
    layers = network.layers(WIDTH, DEPTH, x.shape[1])
    activate = torch.relu if network.activation == "relu" else torch.tanh
    found = []
    for _ in range(draws):
        a = x
        for layer in layers[:-1]:
            a = activate(a @ torch.randn(a.shape[1], WIDTH, dtype=x.dtype).mul_(layer.weight_scale))
        found.append((a @ a.T).mul_(layers[-1].weight_scale ** 2).numpy())
    return np.stack(found)


def ours(network: FullyConnected, gram: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The same, without a matrix."""
    random = np.random.default_rng(seed)
    if len(gram) == 1:
        return sample(network, WIDTH, DEPTH, draws, random)[:, None, None]
    return sample_points(network, WIDTH, DEPTH, gram, draws, random)


def row(network: FullyConnected, points: int, draws: int, wanted: str) -> Row:
    """Their seconds a draw over ours, and whether means of the output's variance agree."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((points, 64)))
    x /= x.norm(dim=1, keepdim=True)
    gram = (x @ x.T).numpy()
    ratios, pace, mine, theirs = [], [], [], []
    for k in range(PAIRS):
        began = time.perf_counter()
        mine.append(ours(network, gram, draws, k))
        our_s = (time.perf_counter() - began) / draws
        torch.manual_seed(k)
        began = time.perf_counter()
        theirs.append(with_matrices(network, x, THEIR_DRAWS))
        ratios.append((time.perf_counter() - began) / THEIR_DRAWS / our_s)
        pace.append(1.0 / our_s)
    one, other = np.concatenate(mine), np.concatenate(theirs)
    error = np.sqrt(one.var(0) / len(one) + one.var(0) / len(other))  # theirs are few: ours tell the spread
    away = float((np.abs(one.mean(0) - other.mean(0)) / error).max())
    if away > STANDARD_ERRORS:
        raise SystemExit(f"samplers differ by {away:.1f} standard errors")
    work = f"random {network.activation} networks, width {WIDTH}, depth {DEPTH}, {points} input(s), one core"
    note = (
        f"{np.median(pace):,.0f} draws/s; variances agree to {away:.1f} standard errors of {len(other)} draws"
    )
    return Row(work, "weight matrices in torch", tuple(ratios), wanted, note)


def rows() -> list[Row]:
    """One input where σ is scale-invariant; four inputs and tanh."""
    torch.set_num_threads(1)
    make = partial(FullyConnected, parameterization="ntk")
    return [
        row(make(activation="relu", weight_variance=2.0), 1, 20_000, "≥ 1,000"),
        row(make(activation="tanh", weight_variance=1.0), 4, 200, "≥ 50"),
    ]


if __name__ == "__main__":
    print(table(rows()))
