"""Our infinite-width kernels beside neural-tangents: the same numbers to 1e-6, and the time for 1,000 points.

The peer needs old versions of jax and numpy, so it lives in a virtual environment of its own under
build/peers, made on the first run. From the repository's root: python -m benchmarks.infinite_ntk
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
import venv
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, table
from theory.activations import get
from theory.kernels import fully_connected_cross_kernels, infinite_ntk

REQUIREMENTS = ("jax==0.4.30", "jaxlib==0.4.30", "numpy<2", "scipy<1.13", "neural-tangents==0.6.5")
ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / "build" / "peers" / "neural-tangents"
PROGRAM = Path(__file__).with_name("peers") / "neural_tangents_kernels.py"
AGREEMENT = 1e-6
POINTS, DEPTH, REPEATS = 1000, 10, 7


def peer_python() -> Path:
    """The interpreter of the peer's environment; a file written last says that it is complete."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready"
    if not ready.exists():
        print(f"making {ENVIRONMENT.relative_to(ROOT)}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        ready.touch()
    return python


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


def run_peer(
    cases: list[dict], train: np.ndarray, test: np.ndarray, *, float64: bool
) -> dict[str, np.ndarray]:
    """What neural-tangents computes and how long it takes, in the one precision."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, listed, output = (Path(folder) / name for name in ("in.npz", "cases.json", "out.npz"))
        np.savez(inputs, train=train, test=test)
        listed.write_text(json.dumps(cases))
        command = [str(part) for part in (peer_python(), PROGRAM, inputs, listed, output)]
        environment = {**os.environ, "JAX_ENABLE_X64": "1" if float64 else "0"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f"neural-tangents failed:\n{done.stderr[-2000:]}")
        return dict(np.load(output))


def largest_difference(train: np.ndarray, test: np.ndarray) -> float:
    """Largest relative difference of any entry of any kernel of the agreement cases, in float64."""
    cases = agreement_cases()
    peer = run_peer(cases, train, test, float64=True)
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
        peer = run_peer(cases, train, test, float64=dtype == "float64")
        for index, case in enumerate(cases):
            walls, arrays = measure(case, train, test)
            note = f"agree to {worst:.0e}; {arrays:.1f} n × n arrays at peak"
            work = f"infinite NTK, {POINTS:,} points, depth {DEPTH}, {case['activation']}"
            ratios = tuple(peer[f"wall_s_{index}"] / walls)
            found.append(Row(work, f"neural-tangents, {dtype}", ratios, "≥ 2", note))
    return found


if __name__ == "__main__":
    print(table(rows()))
