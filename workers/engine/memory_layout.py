"""Batches of matrices that each start at the same memory alignment.

Libraries choose their kernels by alignment, and so may round differently; with every matrix of a batch on a
boundary of 64 bytes, a cell's bits do not depend on its place in the batch.
"""

from __future__ import annotations

from torch import Tensor

BOUNDARY = 64  # bytes
CROWDED, GAP = 2048, 128  # bytes: rows that lie a whole number of the first apart are moved on by the second


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
    (`compiled.gemm`).

    >>> import torch
    >>> by_feature(torch.zeros(1, dtype=torch.float64), 2, 3, 5).stride()
    (16, 1, 3)
    """
    if like.device.type != "cpu":
        return empty(like, cells, samples, features)
    return empty(like, cells, features, samples).mT


def spread(like: Tensor, cells: int, rows: int, columns: int) -> Tensor:
    """`empty`, but on a CPU rows of a whole number of 2 KiB have a gap after each.

    Without it a column lies in few sets of a cache and pushes itself out: products read weights of width 512,
    1024, 2048 in columns, several at a time.

    >>> import torch
    >>> spread(torch.zeros(1, dtype=torch.float64), 2, 3, 512).stride()
    (1584, 528, 1)
    """
    size = like.element_size()
    gap = GAP // size if columns * size % CROWDED == 0 and like.device.type == "cpu" else 0
    return empty(like, cells, rows, columns + gap)[..., :columns]


def copy(matrices: Tensor) -> Tensor:
    """The same matrices, each at the start of a boundary, their rows `spread`."""
    return spread(matrices, *matrices.shape).copy_(matrices)
