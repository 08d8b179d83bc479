"""Largest singular values, eigenvalues and products with one row, of many matrices at once.

A matrix's result depends on that matrix alone, to the last bit, however many stand beside it: sizes are
padded to multiples of eight, so that every matrix of a batch starts at the same alignment, and a matrix
whose iteration has converged keeps its value while others go on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from widesweep.workers.engine import squaring
from widesweep.workers.engine.compiled import lanczos

SMALL = 128  # smaller side up to which a GPU diagonalises the Gram matrix whole
IN_BATCHES = 32  # largest matrix that CUDA's library diagonalises many of at once
BY_SQUARING = 256  # largest one whose extremes products find sooner than it does


def frobenius(matrices: Tensor) -> Tensor:
    """‖M‖_F of each matrix, shape (B,).

    >>> frobenius(torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])).tolist()
    [5.0]
    """
    norms: Tensor = torch.linalg.vector_norm(matrices, dim=(1, 2))
    return norms


def operator_norm(matrices: Tensor) -> Tensor:
    """‖M‖₂ of each matrix: its largest singular value.

    By Lanczos' method, on a CPU in machine code (`compiled.lanczos`).

    Args:
        matrices: shape (B, rows, columns), finite.

    Returns:
        Norms, shape (B,), in the units of the entries.

    Source: Golub & Van Loan, Matrix Computations, 4th ed., chapter 10.

    >>> operator_norm(torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])).tolist()
    [4.0]
    """
    if min(matrices.shape[1:]) == 1:
        return matrices.flatten(1).square().sum(1).sqrt()
    return lanczos.operator_norms(matrices) if matrices.device.type == "cpu" else by_torch(matrices)


def by_torch(matrices: Tensor) -> Tensor:
    """The same by operations on the whole batch, as a GPU takes them.

    The square root of the largest eigenvalue of the smaller Gram matrix, or, above `SMALL`, of its Lanczos
    approximation with full reorthogonalisation, exact once the Krylov space is exhausted.
    """
    wide = _padded(matrices if matrices.shape[1] <= matrices.shape[2] else matrices.transpose(1, 2))
    if wide.shape[1] <= SMALL:
        return extreme_eigenvalues(torch.bmm(wide, wide.transpose(1, 2)))[1].clamp_min(0.0).sqrt()
    return _lanczos(wide).clamp_min(0.0).sqrt()


def extreme_eigenvalues(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest eigenvalue of each symmetric matrix.

    Args:
        symmetric: shape (B, n, n), finite.

    Returns:
        Two tensors of shape (B,).

    >>> [float(v) for v in extreme_eigenvalues(torch.diag(torch.tensor([1.0, 2.0, 5.0]))[None])]
    [1.0, 5.0]
    """
    n = symmetric.shape[-1]
    if symmetric.is_cuda and IN_BATCHES < n <= BY_SQUARING:
        return squaring.extremes(symmetric)
    size = -(-n // 8) * 8
    padded = symmetric.new_zeros((len(symmetric), size, size))
    padded[:, :n, :n] = symmetric
    inside = padded.diagonal(dim1=1, dim2=2)[:, :n].mean(1)  # between the extremes, so padding hides there
    for i in range(n, size):
        padded[:, i, i] = inside
    values = torch.linalg.eigvalsh(padded)
    return values[:, 0], values[:, -1]


def eigenpairs(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors as columns, of each symmetric matrix.

    Args:
        symmetric: shape (B, n, n), finite.

    Returns:
        Shapes (B, n) and (B, n, n).

    >>> eigenpairs(torch.diag(torch.tensor([1.0, 5.0, 2.0]))[None])[0].tolist()
    [[1.0, 2.0, 5.0]]
    """
    n = symmetric.shape[-1]
    size = -(-n // 8) * 8
    padded = symmetric.new_zeros((len(symmetric), size, size))
    padded[:, :n, :n] = symmetric
    beyond = 1.0 + 2.0 * torch.linalg.vector_norm(symmetric, dim=(1, 2))  # so that padding sorts last
    for i in range(n, size):
        padded[:, i, i] = beyond
    values, vectors = torch.linalg.eigh(padded)
    return values[:, :n], vectors[:, :n, :n]


def rows_times(rows: Tensor, matrices: Tensor) -> Tensor:
    """v_b M_b of each cell, a row by its own matrix.

    By elementwise products and a sum: libraries' products of a single row have other bits in another batch.

    Args:
        rows: shape (B, n).
        matrices: shape (B, n, m).

    Returns:
        Shape (B, m).

    >>> rows_times(torch.ones(1, 2), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[4.0, 6.0]]
    """
    return (rows[..., None] * matrices).sum(1)


def _padded(matrices: Tensor) -> Tensor:
    """The matrices with zero rows and columns added up to multiples of eight, where any are missing."""
    rows, columns = (-size % 8 for size in matrices.shape[1:])
    return torch.nn.functional.pad(matrices, (0, columns, 0, rows)) if rows or columns else matrices


def _lanczos(wide: Tensor) -> Tensor:
    """Largest eigenvalue of M Mᵀ for each M of shape (B, r, c), r ≤ c; shape (B,).

    Vectors are kept as rows: libraries multiply one row by a batch of matrices up to twenty times faster
    than a batch of matrices by one column.
    """
    cells, rows, _ = wide.shape
    basis = wide.new_empty((cells, lanczos.CHECK, rows))
    alphas, betas = wide.new_zeros((cells, rows)), wide.new_zeros((cells, rows))
    value, settled = wide.new_zeros(cells), torch.zeros(cells, dtype=torch.bool, device=wide.device)
    v = torch.as_tensor(lanczos.start(rows), dtype=wide.dtype, device=wide.device).expand(cells, 1, -1)
    for k in range(rows):
        if k == basis.shape[1]:
            basis = torch.cat([basis, torch.empty_like(basis)], dim=1)
        basis[:, k : k + 1] = v
        w = torch.bmm(torch.bmm(v, wide), wide.transpose(1, 2))
        alphas[:, k] = (w * v).sum((1, 2))
        earlier = basis[:, : k + 1]
        for _ in range(2):  # twice is enough to stay orthogonal to rounding
            w = w - torch.bmm(torch.bmm(w, earlier.transpose(1, 2)), earlier)
        beta = w.square().sum((1, 2)).sqrt()
        alive = beta > 64 * torch.finfo(wide.dtype).eps * alphas[:, : k + 1].abs().amax(1)
        betas[:, k] = torch.where(alive, beta, 0.0)  # 0: the Krylov space is exhausted
        v = torch.where(alive[:, None, None], w / beta[:, None, None], 0.0)
        if (k + 1) % lanczos.CHECK == 0:
            ritz = _largest_ritz(alphas[:, : k + 1], betas[:, :k])
            done = (ritz - value).abs() <= lanczos.SETTLED * ritz.abs()
            value = torch.where(settled, value, ritz)
            settled = settled | done
            if bool(settled.all()):
                break
    return value


def _largest_ritz(alphas: Tensor, betas: Tensor) -> Tensor:
    """Largest eigenvalue of the symmetric tridiagonal matrices with these diagonals; shape (B,)."""
    tridiagonal = torch.diag_embed(alphas) + torch.diag_embed(betas, 1) + torch.diag_embed(betas, -1)
    if tridiagonal.is_cuda and tridiagonal.shape[1] > IN_BATCHES:
        tridiagonal = tridiagonal.cpu()
    largest: Tensor = torch.linalg.eigvalsh(tridiagonal)[:, -1]
    return largest.to(alphas.device)
