"""Our infinite-width kernels beside neural-tangents: the same numbers to 1e-6, and the time for 1,000 points.

The peer needs old versions of jax and numpy, so it lives in a virtual environment of its own under
build/peers, made on the first run. From the repository's root: python -m benchmarks.infinite_ntk
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from benchmarks.environments import peer_python, run_peer
from benchmarks.rows import Row, table
from widesweep.theory.activations import get
from widesweep.theory.infinite_width.kernels import fully_connected_cross_kernels, infinite_ntk

REQUIREMENTS = ("jax==0.4.23", "jaxlib==0.4.23", "numpy<2", "scipy<1.13", "neural-tangents==0.6.5")
AGREEMENT = 1e-6
POINTS, DEPTH, REPEATS = 1000, 10, 7


def agreement_cases() -> list[dict]:
    """Activations × biases × depths × (one set, test–train), 40 points."""
    return [
        {
            "activation": activation,
            "weight_variance": 1.7,
            "bias_variance": bias,
            "depth": depth,
            "cross": cross,
            "points": 40,
            "dtype": "float64",
            "repeats": 0,
            "keep": True,
        }
        for activation in ("relu", "erf", "gelu")
        for bias in (0.0, 0.3)
        for depth in range(1, 11)
        for cross in (False, True)
    ]


def timing_cases(dtype: str) -> list[dict]:
    """1,000 points at depth 10."""
    return [
        {
            "activation": activation,
            "weight_variance": 1.7,
            "bias_variance": 0.1,
            "depth": DEPTH,
            "cross": False,
            "points": POINTS,
            "dtype": dtype,
            "repeats": REPEATS,
            "keep": False,
        }
        for activation in ("relu", "erf", "gelu")
    ]


def unit_rows(count: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, 20)) + 0.3
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def ours(case: dict, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = train[: case["points"]]
    activation = get(case["activation"])
    settings = {"weight_variance": case["weight_variance"], "bias_variance": case["bias_variance"]}
    if not case["cross"]:
        return infinite_ntk(x @ x.T, case["depth"], activation, **settings)
    norms = (np.square(test).sum(axis=1), np.square(x).sum(axis=1))
    kernels = fully_connected_cross_kernels(test @ x.T, *norms, case["depth"], activation, **settings)
    return kernels.nngp, kernels.ntk()


def measure(case: dict, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, float]:
    """Wall times, and peak memory in arrays of n × n float64, the Gram matrix included."""
    walls = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        ours(case, train, test)
        walls.append(time.perf_counter() - start)
    tracemalloc.start()
    ours(case, train, test)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return np.array(walls), peak / (8.0 * case["points"] ** 2)


def their_kernels(
    cases: list[dict], train: np.ndarray, test: np.ndarray, *, float64: bool
) -> dict[str, np.ndarray]:
    """What neural-tangents computes and how long it takes, in the one precision."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, listed, output = (Path(folder) / name for name in ("in.npz", "cases.json", "out.npz"))
        np.savez(inputs, train=train, test=test)
        listed.write_text(json.dumps(cases))
        python = peer_python("neural-tangents", REQUIREMENTS)
        environment = {**os.environ, "JAX_ENABLE_X64": "1" if float64 else "0"}
        run_peer(python, "neural_tangents_kernels.py", inputs, listed, output, environment=environment)
        return dict(np.load(output))


def largest_difference(train: np.ndarray, test: np.ndarray) -> float:
    """Largest relative difference of any entry of any kernel of the agreement cases, in float64."""
    cases = agreement_cases()
    peer = their_kernels(cases, train, test, float64=True)
    return max(
        float(np.abs(value / peer[f"{name}_{index}"] - 1).max())
        for index, case in enumerate(cases)
        for name, value in zip(("nngp", "ntk"), ours(case, train, test), strict=True)
    )


def rows() -> list[Row]:
    """Their seconds over ours, 1,000 points at depth 10, ours always in float64."""
    train, test = unit_rows(POINTS, 1), unit_rows(15, 2)
    worst = largest_difference(train, test)
    if worst > AGREEMENT:
        raise SystemExit(f"kernels differ from neural-tangents by {worst:.1e}, more than {AGREEMENT:g}")
    found = []
    for dtype in ("float64", "float32"):
        cases = timing_cases(dtype)
        peer = their_kernels(cases, train, test, float64=dtype == "float64")
        for index, case in enumerate(cases):
            walls, arrays = measure(case, train, test)
            note = f"agree to {worst:.0e}; {arrays:.1f} n × n arrays at peak"
            work = f"infinite NTK, {POINTS:,} points, depth {DEPTH}, {case['activation']}"
            ratios = tuple(peer[f"wall_s_{index}"] / walls)
            found.append(Row(work, f"neural-tangents, {dtype}", ratios, "≥ 2", note))
    return found


if __name__ == "__main__":
    print(table(rows()))
