"""Products of batches of matrices: on a CPU by OpenBLAS's batched routine, elsewhere by torch.

OpenBLAS has kernels of its own for small matrices and for AVX-512 on every processor, and takes a whole
batch in one call: at widths 32 to 128 it was 1.05 to 3.9 times as fast as torch's library in float64
(`benchmarks/limits.py`), 0.75 to 1.6 times in float32.

The bits of a product depend on its own shape alone: not on the batch, nor on how many cores share it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import cast

import scipy_openblas32 as openblas
import torch
from torch import Tensor

ROW_MAJOR, AS_IS, TRANSPOSED = 101, 111, 112  # CBLAS's own numbers
NUMBERS = {torch.float64: ("d", ctypes.c_double), torch.float32: ("s", ctypes.c_float)}
LARGEST = 2**31 - 1  # distance between matrices that the routine can count
PANEL_COLUMNS = 64  # a core's share of one product is a multiple of it
LEAST_SHARE = 2_000_000  # of rows · columns · inner: OpenBLAS rounds small products by other kernels


def multiply(a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
    """out ← α a b + β out, for each matrix of a batch.

    Args:
        a: shape (B, n, k); every batch may be an expanded one.
        b: shape (B, k, m).
        out: shape (B, n, m); not read where β is 0.
        alpha: α.
        beta: β.

    >>> out = torch.ones(1, 1, 1, dtype=torch.float64)
    >>> two = torch.full((1, 1, 1), 2.0, dtype=torch.float64)
    >>> multiply(two, two, out, alpha=10.0, beta=1.0); out.item()
    41.0
    """
    if out.device.type == "cpu" and out.dtype in NUMBERS and out.numel() and a.shape[2]:
        _multiply_by_openblas(a, b, out, alpha, beta)
    else:
        torch.baddbmm(out, a, b, beta=beta, alpha=alpha, out=out)


def set_threads(threads: int) -> None:
    """How many cores a product may use, in this process."""
    _library().scipy_openblas_set_num_threads(threads)


def threads() -> int:
    """How many cores a product may use."""
    return int(_library().scipy_openblas_get_num_threads())


def library_path() -> Path:
    """OpenBLAS's shared library."""
    return Path(str(openblas.get_lib_dir()), str(openblas.get_library(fullname=True)))


def panel_width(rows: int, columns: int, inner: int, cores: int) -> int:
    """Columns of one product that a core computes: as equal shares as leave its bits, or all of them.

    >>> panel_width(32, 1024, 1024, cores=2), panel_width(24, 128, 128, cores=2)
    (512, 128)
    """
    for parts in range(cores, 1, -1):
        width = -(-columns // (parts * PANEL_COLUMNS)) * PANEL_COLUMNS
        if width < columns and rows * inner * min(width, columns % width or width) >= LEAST_SHARE:
            return width
    return columns


def _multiply_by_openblas(a: Tensor, b: Tensor, out: Tensor, alpha: float, beta: float) -> None:
    cells, rows, columns = out.shape
    out_cell, out_row, out_column = out.stride()
    if out_column != 1:
        raise ValueError(f"rows of the result are not contiguous: strides {out.stride()}")
    inner = a.shape[2]
    fits = a.shape == (cells, rows, inner) and b.shape == (cells, inner, columns)
    if not (fits and a.dtype == b.dtype == out.dtype):
        raise ValueError(
            f"no product: {a.shape} {a.dtype}, {b.shape} {b.dtype}, into {out.shape} {out.dtype}"
        )
    a_order, a_row, a_cell = _layout(a.stride(), rows, inner)
    b_order, b_row, b_cell = _layout(b.stride(), inner, columns)
    if cells > 1 and max(a_cell, b_cell, out_cell) > LARGEST:
        for cell in range(cells):
            one = slice(cell, cell + 1)
            _multiply_by_openblas(a[one], b[one], out[one], alpha, beta)
        return
    address_a, address_b, address_out = a.data_ptr(), b.data_ptr(), out.data_ptr()
    routine = _routine(out.dtype)
    width = panel_width(rows, columns, inner, threads()) if cells == 1 else columns
    if width == columns:
        routine(
            ROW_MAJOR, a_order, b_order, rows, columns, inner,
            alpha, address_a, a_row, a_cell, address_b, b_row, b_cell,
            beta, address_out, max(out_row, columns), out_cell, cells,
        )  # fmt: skip
        return
    # One matrix for several cores: its columns as a batch, and what is left over.
    along, size = b.stride(2), out.element_size()
    for first, wide, count in ((0, width, columns // width), (columns // width * width, columns % width, 1)):
        if wide:
            routine(
                ROW_MAJOR, a_order, b_order, rows, wide, inner,
                alpha, address_a, a_row, 0, address_b + size * first * along, b_row, wide * along,
                beta, address_out + size * first, max(out_row, columns), wide, count,
            )  # fmt: skip


def _layout(strides: tuple[int, ...], rows: int, columns: int) -> tuple[int, int, int]:
    """Whether rows or columns of each matrix are contiguous, and how far apart these and the matrices lie."""
    cell, row, column = strides
    if (column == 1 or columns == 1) and (rows == 1 or row >= columns):
        return AS_IS, max(row, columns), cell
    if (row == 1 or rows == 1) and (columns == 1 or column >= rows):
        return TRANSPOSED, max(column, rows), cell
    raise ValueError(f"neither rows nor columns are contiguous, or they overlap: strides {strides}")


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    library.scipy_openblas_set_num_threads(1)
    return library


@functools.cache
def _routine(dtype: torch.dtype) -> Callable[..., None]:
    """cblas_dgemm_batch_strided, or the same of single precision."""
    letter, factor = NUMBERS[dtype]
    size, array = ctypes.c_int, ctypes.c_void_p
    routine = getattr(_library(), f"scipy_cblas_{letter}gemm_batch_strided")
    routine.restype = None
    routine.argtypes = [size] * 6 + [factor, *(array, size, size) * 2, factor, array, size, size, size]
    return cast(Callable[..., None], routine)
