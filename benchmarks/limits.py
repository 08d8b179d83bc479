"""What limits a narrow step: the share of the peak that batched products alone reach, and the whole step's.

From the repository's root: python -m benchmarks.limits
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.engine import STEPS, block, ensemble, product_peak, stepping
from widesweep.workers.data import DataConfig, load
from widesweep.workers.engine import matmul

SAMPLES, DEPTH, CELLS = 24, 2, 16
REPEATS = 15


def least_s(work: Callable[[], object], count: int = 1) -> float:
    """Least time of one call over some repeats."""
    best = np.inf
    for _ in range(REPEATS):
        began = time.perf_counter()
        for _ in range(count):
            work()
        best = min(best, (time.perf_counter() - began) / count)
    return float(best)


def by_torch(a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
    torch.baddbmm(out, a, b, beta=beta, alpha=alpha, out=out)


def product_shares(width: int, peak: float, multiply: Callable[..., None]) -> str:
    """Forward, backward and update product of a hidden layer, 16 cells: shares of the peak."""
    a, d, out = (torch.randn(CELLS, SAMPLES, width, dtype=torch.float64) for _ in range(3))
    w = torch.randn(CELLS, width, width, dtype=torch.float64)
    flops = 2.0 * CELLS * SAMPLES * width**2
    three = (
        lambda: multiply(a, w, out),
        lambda: multiply(d, w.mT, out),
        lambda: multiply(a.mT, d, w, -1e-12, 1.0),
    )
    return ", ".join(f"{flops / least_s(product, 20) / peak:.2f}" for product in three)


def step_s(width: int) -> float:
    """Seconds of one step of one cell, in a segment between two sync steps."""
    data = load(DataConfig(samples=SAMPLES))
    b = block(data, width, DEPTH, seeds=CELLS, steps=STEPS, records=2, dtype="float64")
    start, batch = ensemble(b, data)
    stepper = start.training.stepper(batch, start)
    return least_s(partial(stepping, batch, start.targets, stepper, kernels=False)) / STEPS / CELLS


def section() -> str:
    """The table as Markdown."""
    torch.set_num_threads(1)
    peak = product_peak(torch.float64)
    head = (
        "width",
        "forward, backward, update product by torch",
        "the same by `widesweep.workers.engine.matmul`",
        "µs a step and cell",
        "operations, share of the peak",
    )
    lines = [head, ("---",) * len(head)]
    for width in (32, 64, 128):
        seconds = step_s(width)
        flops = 2.0 * SAMPLES * width * (SAMPLES + 3 * width * (DEPTH - 1) + 2)
        lines.append(
            (
                str(width),
                product_shares(width, peak, by_torch),
                product_shares(width, peak, matmul.multiply),
                f"{1e6 * seconds:.1f}",
                f"{flops / 1e6:.2f} MFLOP, {flops / seconds / peak:.2f}",
            )
        )
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    title = f"Narrow cells, depth {DEPTH}, {SAMPLES} samples, float64, {CELLS} in a batch, one core of "
    return f"{title}{peak / 1e9:.0f} GFLOP/s, products as shares of it:\n\n{table}"


if __name__ == "__main__":
    print(section())
