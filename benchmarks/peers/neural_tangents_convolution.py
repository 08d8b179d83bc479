"""Convolutional kernels by neural-tangents, run in its own environment: CASES.json in, OUT.npz and times out.

Usage: python neural_tangents_convolution.py IMAGES.npy CASES.json OUT.npz, with JAX_ENABLE_X64=1 for float64.
Images are (n, height, width, channels), as the network sees them.
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
PADDINGS = {"zero": "SAME", "circular": "CIRCULAR"}
READOUTS = {"flatten": stax.Flatten, "pool": stax.GlobalAvgPool}


def kernel_function(case: dict) -> object:
    """C_W/fan_in in every layer."""
    scales = {"W_std": case["weight_variance"] ** 0.5, "b_std": case["bias_variance"] ** 0.5}
    size = (case["filter_size"],) * 2
    layers = []
    for _ in range(case["depth"]):
        layers += [
            stax.Conv(1, size, padding=PADDINGS[case["padding"]], **scales),
            ACTIVATIONS[case["activation"]](),
        ]
    return stax.serial(*layers, READOUTS[case["readout"]](), stax.Dense(1, **scales))[2]


def main(inputs: str, cases: str, output: str) -> None:
    images, results = np.load(inputs), {}
    for index, case in enumerate(json.loads(Path(cases).read_text())):
        precision = np.float64 if case["dtype"] == "float64" else np.float32
        pixels = images[: case["images"]].astype(precision)
        function = jax.jit(kernel_function(case), static_argnames=("get",))
        walls = []
        for _ in range(1 + case["repeats"]):  # the first call compiles
            start = time.perf_counter()
            kernels = function(pixels, None, get=("nngp", "ntk"))
            nngp, ntk = np.asarray(kernels.nngp), np.asarray(kernels.ntk)
            walls.append(time.perf_counter() - start)
        results[f"wall_s_{index}"] = np.array(walls[1:])
        results[f"nngp_{index}"], results[f"ntk_{index}"] = nngp, ntk
    np.savez(output, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
