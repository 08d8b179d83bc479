"""Matrices transposed by squares of eight rows in registers, as LLVM code that compiled loops call."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from widesweep.workers.engine.compiled.jit import numbers, part

SIDE = 8
SPANS = (1, 2, 4)  # rows that each stage exchanges


def _square(
    context: Any, like: Any, source: Any, source_row: Any, target: Any, target_row: Any, factors: Any
) -> Any:
    """A square of `SIDE` rows from one place to another, transposed; distances between rows in numbers.

    Each row there is multiplied by one of the factors at an address; `none` for no address.
    """
    number, index = like.dtype, types.int64

    def exchange(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        _, source, source_row, target, target_row, *rest = arguments
        kind = context.get_value_type(number)
        vector, lane = ir.VectorType(kind, SIDE), ir.IntType(32)

        def places(address: Any, distance: Any) -> list[Any]:
            start = build.inttoptr(address, kind.as_pointer())
            rows = (build.gep(start, [build.mul(distance, ir.IntType(64)(i))]) for i in range(SIDE))
            return [build.bitcast(row, vector.as_pointer()) for row in rows]

        size = number.bitwidth // 8
        rows = [build.load(place, align=size) for place in places(source, source_row)]
        for span in SPANS:
            upper = [j if not j & span else SIDE + j - span for j in range(SIDE)]
            lower = [j + span if not j & span else SIDE + j for j in range(SIDE)]
            for i in (i for i in range(SIDE) if not i & span):
                pair = rows[i], rows[i + span]
                for place, order in ((i, upper), (i + span, lower)):
                    chosen = ir.Constant(ir.VectorType(lane, SIDE), order)
                    rows[place] = build.shuffle_vector(*pair, chosen)
        if weighs:
            first, everywhere = build.inttoptr(rest[0], kind.as_pointer()), ir.VectorType(lane, SIDE)
            for i, row in enumerate(rows):
                factor = build.load(build.gep(first, [ir.IntType(64)(i)]))
                one = build.insert_element(ir.Constant(vector, ir.Undefined), factor, lane(0))
                rows[i] = build.fmul(row, build.shuffle_vector(one, one, ir.Constant(everywhere, [0] * SIDE)))
        for row, place in zip(rows, places(target, target_row), strict=True):
            build.store(row, place, align=size)
        return context.get_dummy_value()

    weighs = factors is not types.none
    return types.void(like, index, index, index, index, index if weighs else types.none), exchange


_transpose_square = intrinsic(_square)


@part
def transpose(
    source: int,
    source_row: int,
    rows: int,
    columns: int,
    target: int,
    target_row: int,
    factors: np.ndarray,
) -> None:
    """target ← φ ∘ sourceᵀ, shape (columns, rows); distances between rows in numbers.

    `factors` is φ of each column of the source, or nothing where it is 1; its type is that of the numbers.
    """
    weighs, size, like = len(factors) > 0, factors.itemsize, factors
    at = np.int64(factors.ctypes.data)
    have = numbers(source, (rows - 1) * source_row + columns, like)
    get = numbers(target, (columns - 1) * target_row + rows, like)
    whole_rows, whole_columns = rows - rows % SIDE, columns - columns % SIDE
    for r in range(0, whole_rows, SIDE):
        for c in range(0, whole_columns, SIDE):
            start, end = source + size * (r * source_row + c), target + size * (c * target_row + r)
            if weighs:
                _transpose_square(like, start, source_row, end, target_row, at + size * c)
            else:
                _transpose_square(like, start, source_row, end, target_row, None)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            value = have[i * source_row + j]
            get[j * target_row + i] = value * factors[j] if weighs else value
