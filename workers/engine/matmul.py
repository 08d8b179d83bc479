"""Products of batches of matrices: on a CPU by compiled loops of our own, elsewhere by torch.

A network's products are thin: n samples by a layer of m × m. Libraries copy the layer into the order that
their kernels read, and have few rows to win that back; `compiled.gemm` reads it as it lies.
Activations and cotangents lie by features for that (`aligned.by_feature`).

Every entry is one sum over the inner dimension, added in ascending order: the bits of a product depend
neither on the batch, nor on how many cores share it, nor on the processor's vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine.compiled import gemm
from widesweep.workers.engine.compiled.jit import entry

NUMBERS = {torch.float64: np.float64, torch.float32: np.float32}
LEAST_SHARE = 2_000_000  # multiplications for which it is worth to call another core
_cores = 1


def multiply(a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
    """out ← α a b + β out, for each matrix of a batch.

    Args:
        a: shape (B, n, k); every batch may be an expanded one. Where b is a transposed, the result is
            exactly symmetric, at half the cost.
        b: shape (B, k, m).
        out: shape (B, n, m); not read where β is 0.
        alpha: α.
        beta: β.

    Raises:
        ValueError: shapes or types do not fit, or matrices are neither row- nor column-contiguous.

    >>> out = torch.ones(1, 1, 1, dtype=torch.float64)
    >>> two = torch.full((1, 1, 1), 2.0, dtype=torch.float64)
    >>> multiply(two, two, out, alpha=10.0, beta=1.0); out.item()
    41.0
    """
    if out.device.type == "cpu" and out.dtype in NUMBERS and out.numel() and a.shape[2]:
        _multiply_here(a, b, out, alpha, beta)
    else:
        torch.baddbmm(out, a, b, beta=beta, alpha=alpha, out=out)


def set_threads(threads: int) -> None:
    """How many cores a product may use, in this process."""
    global _cores
    _cores = threads


def threads() -> int:
    """How many cores a product may use."""
    return _cores


def load(dtype: str) -> None:
    """Compiles them for numbers of a type, or reads them from the cache: what is done once in a process."""
    one = torch.ones((1, 1, 1), dtype=getattr(torch, dtype))
    multiply(one, one, one.clone())


def on_each(cores: int, work: Callable[[int], Any]) -> None:
    """Calls it with 0 to cores − 1, each on a core, this thread's own among them.

    Args:
        cores: how many, of those that `set_threads` allows; they may wait for each other.
        work: what each does; it must not hold Python's lock for long.
    """
    others = [_pool(_cores - 1).submit(work, core) for core in range(1, cores)] if cores > 1 else []
    work(0)
    for other in others:
        other.result()


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "product")


def _multiply_here(a: Tensor, b: Tensor, out: Tensor, alpha: float, beta: float) -> None:
    cells, rows, columns = out.shape
    inner = a.shape[2]
    fits = a.shape == (cells, rows, inner) and b.shape == (cells, inner, columns)
    if not (fits and a.dtype == b.dtype == out.dtype):
        raise ValueError(
            f"no product: {a.shape} {a.dtype}, {b.shape} {b.dtype}, into {out.shape} {out.dtype}"
        )
    result = _batch(out)
    if result.first.column != 1:
        _multiply_here(b.mT, a.mT, out.mT, alpha, beta)
        return
    number, left, right = NUMBERS[out.dtype], _batch(a), _batch(b)
    of_one = b.data_ptr() == a.data_ptr() and b.shape == a.mT.shape and b.stride() == a.mT.stride()
    compiled, like = _compiled(), np.empty(0, dtype=number)
    cores = _cores if cells * rows * inner * columns >= 2 * LEAST_SHARE else 1

    def part(core: int) -> None:
        compiled(
            cells, (rows, columns, inner), number(alpha), left, right, number(beta), result,
            of_one and beta == 0, core, cores, gemm.product_at(like.dtype), like,
        )  # fmt: skip

    on_each(cores, part)


def _batch(matrices: Tensor) -> gemm.Batch:
    """Where they lie; rows or columns of each are contiguous."""
    (_, rows, columns), (cell, row, column) = matrices.shape, matrices.stride()
    if (column == 1 or columns == 1) and (rows == 1 or row >= columns):
        return gemm.Batch(gemm.Matrix(matrices.data_ptr(), max(row, columns), 1), cell)
    if (row == 1 or rows == 1) and (columns == 1 or column >= rows):
        return gemm.Batch(gemm.Matrix(matrices.data_ptr(), 1, max(column, rows)), cell)
    raise ValueError(f"neither rows nor columns are contiguous, or they overlap: strides {matrices.stride()}")


@functools.cache
def _compiled() -> Callable[..., None]:
    return entry(gemm.keyed)
