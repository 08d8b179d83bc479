"""Products of thin matrices as compiled loops over tiles, which read a layer's weights as they lie.

The inner dimension is taken in parts of `DEPTH`, so that a part of b stays in a core's second-level cache
while all rows of a pass by. Of n samples and m features the features belong to the rows: then weights are
read once, in rows or in columns, and b is what belongs to the samples: n numbers for each feature, side by
side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from widesweep.workers.engine.compiled import transposition
from widesweep.workers.engine.compiled.jit import address, keep, numbers, part, room
from widesweep.workers.engine.compiled.tile import FLAT, ROWS, TALL, VECTOR_BYTES, VECTORS, tile

DEPTH = 256  # of the inner dimension at once


class Matrix(NamedTuple):
    """Where numbers lie; distances in numbers.

    Attributes:
        at: address of the first.
        row: distance between rows.
        column: distance between columns.
    """

    at: int
    row: int
    column: int


class Batch(NamedTuple):
    """Matrices one after another.

    Attributes:
        first: the first of them.
        distance: from one to the next, in numbers; 0: all are the same.
    """

    first: Matrix
    distance: int


@functools.cache
def product_at(dtype: np.dtype) -> int:
    """Where the machine code of `product` lies, for numbers of a type."""
    number = types.float64 if dtype == np.float64 else types.float32
    return address(functools.partial(_keyed_product, dtype), _signature(number))


def _keyed_product(dtype: np.dtype, sources: str) -> Callable[..., None]:
    """The loops, for numbers of a type and for these sources."""
    one: Any = dtype.type(1)
    size, lanes = dtype.itemsize, VECTOR_BYTES // dtype.itemsize

    def product(
        start: int,
        stop: int,
        columns: int,
        inner: int,
        alpha: float,
        a: int,
        a_row: int,
        a_column: int,
        b: int,
        b_row: int,
        beta: float,
        out: int,
        out_row: int,
        lower: int,
    ) -> None:
        kept, wide = beta, columns > stop - start and not lower
        for first in range(0, inner if sources else 0, DEPTH):
            depth = min(DEPTH, inner - first)
            r, c = start, 0
            while r < stop and c < columns:
                rows, end, most = min(ROWS, stop - r), columns, VECTORS
                if lower:
                    end = min(columns, -(-(r + rows) // lanes) * lanes)
                elif columns <= FLAT * lanes and stop - r >= TALL:
                    rows, most = TALL, FLAT
                vectors = min(most, (end - c) // lanes)
                tile(
                    rows, vectors, depth, end - c, alpha, kept,
                    a + size * (r * a_row + first * a_column), a_row, a_column,
                    b + size * (first * b_row + c), b_row, out + size * (r * out_row + c), out_row,
                )  # fmt: skip
                across = max(1, vectors) * lanes
                if wide:  # what is shorter stays near: all rows, then on to the next columns
                    r += rows
                    if r >= stop:
                        r, c = start, c + across
                else:
                    c += across
                    if c >= end:
                        r, c = r + rows, 0
            kept = one

    return product


def _signature(number: Any) -> Any:
    index = types.int64
    return types.void(*[index] * 4, number, *[index] * 5, number, *[index] * 3)


def _call(
    context: Any,
    at: Any,
    start: Any,
    stop: Any,
    columns: Any,
    inner: Any,
    alpha: Any,
    a: Any,
    a_row: Any,
    a_column: Any,
    b: Any,
    b_row: Any,
    beta: Any,
    out: Any,
    out_row: Any,
    lower: Any,
) -> Any:
    """The machine code at an address, with these arguments."""

    def call(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        kind = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        build.call(build.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.int64, *_signature(alpha).args), call


_call_product = intrinsic(_call)


@part
def product(
    at: int,
    rows: tuple[int, int],
    columns: int,
    inner: int,
    alpha: float,
    a: Matrix,
    b: Matrix,
    beta: float,
    out: Matrix,
    lower: bool,
) -> None:
    """out ← α a b + β out for rows from the first number to before the second; columns of b and out adjoin.

    With `lower`, what is right of the diagonal need not be computed. `at` is where `product_at` says.
    """
    _call_product(
        at, rows[0], rows[1], columns, inner, alpha, a.at, a.row, a.column, b.at, b.row,
        beta, out.at, out.row, lower,
    )  # fmt: skip


@part
def share(count: int, core: int, cores: int) -> tuple[int, int]:
    """First row of one core's share and the row after its last, in whole tiles but for the last core."""
    tiles = -(-count // ROWS)
    return min(count, tiles * core // cores * ROWS), min(count, tiles * (core + 1) // cores * ROWS)


@part
def _mirror(rows: tuple[int, int], out: Matrix, like: np.ndarray) -> None:
    """Copies what is left of the diagonal in such rows to its right."""
    both = numbers(out.at, (rows[1] - 1) * out.row + rows[1], like)
    for i in range(rows[0], rows[1]):
        for j in range(i):
            both[j * out.row + i] = both[i * out.row + j]


@part
def _of(batch: Batch, cell: int, like: np.ndarray) -> Matrix:
    first = batch.first
    return Matrix(first.at + like.itemsize * batch.distance * cell, first.row, first.column)


@part
def _multiply(
    cells: int,
    sizes: tuple[int, int, int],
    alpha: float,
    a: Batch,
    b: Batch,
    beta: float,
    out: Batch,
    lower: bool,
    core: int,
    cores: int,
    at: int,
    like: np.ndarray,
) -> None:
    """One core's part of out ← α a b + β out for each cell, of (rows, columns, inner).

    With `lower`, b is aᵀ, and the result is symmetric.
    """
    rows, columns, inner = sizes
    cell, last = 0, cells
    if cells >= cores:
        cell, last, core, cores = cells * core // cores, cells * (core + 1) // cores, 0, 1
    mine = share(rows, core, cores)
    if mine[0] >= mine[1]:
        return
    packs = b.first.column != 1
    held, packed = room(inner * columns if packs else 0, like)
    none = np.empty(0, dtype=like.dtype)
    while cell < last:
        left, right, result = _of(a, cell, like), _of(b, cell, like), _of(out, cell, like)
        if packs:
            transposition.transpose(right.at, right.column, columns, inner, packed, columns, none)
            right = Matrix(packed, columns, 1)
        product(at, mine, columns, inner, alpha, left, right, beta, result, lower)
        if lower:
            _mirror(mine, result, like)
        cell += 1
    keep(held)


def keyed(sources: str) -> Callable[..., None]:
    """`_multiply` for Python, compiled for these sources."""

    def multiply(*arguments: Any) -> None:
        if sources:
            _multiply(*arguments)

    return multiply
