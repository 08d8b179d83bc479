"""Kernels by neural-tangents, run in its own environment: CASES.json in, OUT.npz and times out.

Usage: python neural_tangents_kernels.py INPUT.npz CASES.json OUT.npz, with JAX_ENABLE_X64=1 for float64 and
JAX_ENABLE_X64=0 for float32.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
from neural_tangents import stax

ACTIVATIONS = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}


def kernel_function(case: dict) -> object:
    """C_W/fan_in in every layer: with inputs of norm √d, K^(1) = C_b + C_W x·x'."""
    dense = {"W_std": case["weight_variance"] ** 0.5, "b_std": case["bias_variance"] ** 0.5}
    layers = []
    for _ in range(case["depth"]):
        layers += [stax.Dense(1, **dense), ACTIVATIONS[case["activation"]]()]
    return stax.serial(*layers, stax.Dense(1, **dense))[2]


def main(inputs: str, cases: str, output: str) -> None:
    arrays = np.load(inputs)
    results = {}
    for index, case in enumerate(json.loads(Path(cases).read_text())):
        precision = np.float64 if case["dtype"] == "float64" else np.float32
        train = (arrays["train"][: case["points"]] * arrays["train"].shape[1] ** 0.5).astype(precision)
        test = (arrays["test"] * arrays["train"].shape[1] ** 0.5).astype(precision) if case["cross"] else None
        function = jax.jit(kernel_function(case), static_argnames=("get",))
        walls = []
        for _ in range(1 + case["repeats"]):  # the first call compiles
            start = time.perf_counter()
            kernels = function(
                train if test is None else test, None if test is None else train, get=("nngp", "ntk")
            )
            nngp, ntk = (np.asarray(kernels.nngp), np.asarray(kernels.ntk))
            walls.append(time.perf_counter() - start)
        results[f"wall_s_{index}"] = np.array(walls[1:])
        if case["keep"]:
            results[f"nngp_{index}"], results[f"ntk_{index}"] = nngp, ntk
    np.savez(output, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
