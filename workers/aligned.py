"""Batches of matrices that each start at the same memory alignment.

Libraries choose their kernels by alignment, and so may round differently; with every matrix of a batch on a
boundary of 64 bytes, a cell's bits do not depend on its place in the batch.
"""

from __future__ import annotations

from torch import Tensor

BOUNDARY = 64  # bytes


def empty(like: Tensor, cells: int, rows: int, columns: int) -> Tensor:
    """An uninitialised (cells, rows, columns) of `like`'s type and device, rows contiguous, cells aligned.

    >>> import torch
    >>> empty(torch.zeros(1, dtype=torch.float64), 2, 3, 3).stride()
    (16, 3, 1)
    """
    size = rows * columns
    entries = BOUNDARY // like.element_size()
    stride = -(-size // entries) * entries
    flat = like.new_empty((cells, stride))
    return flat.as_strided((cells, rows, columns), (stride, columns, 1))


def by_feature(like: Tensor, cells: int, samples: int, features: int) -> Tensor:
    """An uninitialised (cells, samples, features); on a CPU the samples of each feature lie side by side.

    A product with a layer's weights then reads these once, in rows or in columns, for all samples
    (`workers.compiled.nest`).

    >>> import torch
    >>> by_feature(torch.zeros(1, dtype=torch.float64), 2, 3, 5).stride()
    (16, 1, 3)
    """
    if like.device.type != "cpu":
        return empty(like, cells, samples, features)
    return empty(like, cells, features, samples).mT


def copy(matrices: Tensor) -> Tensor:
    """The same matrices, each at the start of a boundary."""
    cells, rows, columns = matrices.shape
    return empty(matrices, cells, rows, columns).copy_(matrices)
