"""Operator norms of many matrices by Lanczos' method, compiled: one matrix after another.

A step goes through a matrix once, w = MᵀMv = Σ_i (M_i·v) M_i with row i in the nearest cache for both. A
matrix's result depends on that matrix alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine import matmul
from widesweep.workers.engine.compiled.jit import entry, keep, numbers, part, reordered, room

CHECK = 8  # steps between two readings of the Ritz value
SETTLED = 1e-13  # relative growth of the Ritz value over CHECK steps at which it is taken; or a rounding
ALIVE = 64.0  # roundings of the largest α so far, below which the Krylov space is exhausted
MOST_STEPS, ROUNDING = 100, 2.0**-52  # to a Ritz value; they end when they are no longer seen
LEAST_SHARE = 500_000  # numbers of a matrix for which it is worth to call another core


def operator_norms(matrices: Tensor) -> Tensor:
    """‖M‖₂ of each matrix, its largest singular value, shape (B,).

    The root of the largest eigenvalue of MᵀM, with full reorthogonalisation: exact once the Krylov space is
    exhausted.

    Args:
        matrices: on a CPU, shape (B, rows, columns); one that is not finite has no norm, NaN.

    Source: Golub & Van Loan, Matrix Computations, 4th ed., chapter 10.

    >>> operator_norms(torch.diag(torch.tensor([3.0, 4.0]))[None]).item()
    4.0
    """
    cells, rows, columns = matrices.shape
    matrices = matrices if matrices.stride(2) == 1 else matrices.contiguous()
    cores = max(1, min(matmul.threads(), cells)) if rows * columns >= LEAST_SHARE else 1
    first = start(columns).astype(matmul.NUMBERS[matrices.dtype])
    place, (cell, row, _) = matrices.data_ptr(), matrices.stride()
    found, compiled = matrices.new_empty(cells), _compiled()
    values = found.numpy()

    def part(core: int) -> None:
        mine = cells * core // cores, cells * (core + 1) // cores
        compiled(place, rows, (cell, row), mine, first, values)

    matmul.on_each(cores, part)
    return found


@functools.cache
def start(size: int) -> np.ndarray:
    """The random direction with which every Krylov space of that dimension begins."""
    vector = np.random.Generator(np.random.Philox(0)).standard_normal(size)
    return np.asarray(vector / np.linalg.norm(vector))


@functools.cache
def load(dtype: np.dtype) -> None:
    """Compiles it for numbers of a type, or reads it from the cache: what is done once in a process."""
    operator_norms(torch.ones((1, 1, 1), dtype=getattr(torch, dtype.name)))


@functools.cache
def _compiled() -> Callable[..., None]:
    return entry(_keyed)


def _keyed(sources: str) -> Callable[..., None]:
    """Norms of one core's matrices, compiled for these sources."""

    def each(
        place: int,
        rows: int,
        distances: tuple[int, int],
        cells: tuple[int, int],
        start: np.ndarray,
        values: np.ndarray,
    ) -> None:
        for cell in range(cells[0], cells[1] if sources else 0):
            matrix = place + start.itemsize * cell * distances[0]
            values[cell] = np.sqrt(_largest(matrix, rows, distances[1], start))

    return each


@part
def _largest(place: int, rows: int, apart: int, start: np.ndarray) -> float:
    """λ_max of MᵀM of the matrix at an address, whose rows lie `apart` numbers apart."""
    size, rounding, many = len(start), np.finfo(start.dtype).eps, 2 * CHECK
    held, basis = room(many * size, start)
    alphas, betas, w = np.zeros(size), np.zeros(size), start.copy()
    value, largest = 0.0, 0.0
    _scaled(w, 1.0, numbers(basis, size, start))
    for k in range(size):
        _times(place, rows, apart, numbers(basis + start.itemsize * k * size, size, start), w)
        alphas[k] = _without(basis, k, w)
        largest, beta = max(largest, alphas[k]), np.sqrt(_inner(w, w))
        if not alphas[k] < np.inf:
            value = alphas[k]
            break
        exhausted = not beta > ALIVE * rounding * largest or k + 1 == size
        if exhausted or (k + 1) % CHECK == 0:
            before, value = value, _ritz(alphas, betas, k + 1, value)
            if exhausted or value - before <= max(SETTLED, 0.5 * rounding) * value:
                break
        betas[k] = beta
        if k + 1 == many:
            smaller, many = numbers(basis, many * size, start), 2 * many
            more, basis = room(many * size, start)
            _scaled(smaller, 1.0, numbers(basis, len(smaller), start))
            keep(held)
            held = more
        _scaled(w, 1.0 / beta, numbers(basis + start.itemsize * (k + 1) * size, size, start))
    keep(held)
    return value


@reordered
def _scaled(a: np.ndarray, factor: float, out: np.ndarray) -> None:
    for j in range(len(a)):
        out[j] = a[j] * factor


@reordered
def _inner(a: np.ndarray, b: np.ndarray) -> float:
    total: float = a[0] * b[0]
    for j in range(1, len(b)):
        total += a[j] * b[j]
    return total


@reordered
def _add(a: np.ndarray, factor: float, out: np.ndarray) -> None:
    for j in range(len(a)):
        out[j] += factor * a[j]


@part
def _times(place: int, rows: int, apart: int, v: np.ndarray, w: np.ndarray) -> None:
    """w ← MᵀM v."""
    w[:] = 0
    for i in range(rows):
        row = numbers(place + w.itemsize * i * apart, len(w), w)
        _add(row, _inner(row, v), w)


@part
def _without(basis: int, k: int, w: np.ndarray) -> float:
    """Takes the part along the first k + 1 vectors out of w, twice; returns that along the last before."""
    size = len(w)
    alpha = _inner(numbers(basis + w.itemsize * k * size, size, w), w)
    for _ in range(2):  # enough to stay orthogonal to rounding
        for i in range(k, -1, -1):
            vector = numbers(basis + w.itemsize * i * size, size, w)
            _add(vector, -_inner(vector, w), w)
    return alpha


@part
def _ritz(alphas: np.ndarray, betas: np.ndarray, size: int, low: float) -> float:
    """Largest eigenvalue of the symmetric tridiagonal T, at least `low`: Newton's method from above.

    From there it falls to the largest root of det(T − x) and never below; where it is slow, since roots lie
    close, half of the interval is left out besides.
    """
    high = low
    for i in range(size):
        before, after = betas[i - 1] if i else 0.0, betas[i] if i + 1 < size else 0.0
        low, high = max(low, alphas[i]), max(high, alphas[i] + before + after)
    for _ in range(MOST_STEPS):
        step = _newton_step(alphas, betas, size, high)
        if not step > ROUNDING * high:
            break
        high -= step
        if step < high - low:
            middle = 0.5 * (low + high)
            if _newton_step(alphas, betas, size, middle) > 0.0:
                high = middle
            else:
                low = middle
    return high


@part
def _newton_step(alphas: np.ndarray, betas: np.ndarray, size: int, x: float) -> float:
    """det / (d/dx det) of T − x for x above all eigenvalues, which has negative pivots alone; else 0."""
    total, relative, carried = 0.0, 0.0, 0.0
    for i in range(size):
        pivot = alphas[i] - x - carried
        if not pivot < 0.0:
            return 0.0
        relative = (carried * relative - 1.0) / pivot
        total += relative
        carried = betas[i] * betas[i] / pivot
    return 1.0 / total
