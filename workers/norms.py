"""Largest singular values and extreme eigenvalues of many matrices at once.

A matrix's result depends on that matrix alone, to the last bit, however many stand beside it: sizes are
padded to multiples of eight, so that every matrix of a batch starts at the same alignment, and a matrix
whose iteration has converged keeps its value while others go on.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

SMALL = 64  # smaller side up to which the Gram matrix is diagonalised whole
CHECK = 8  # Lanczos steps between two looks at the Ritz value
SETTLED = 1e-13  # relative growth of the Ritz value over CHECK steps at which it is taken


def operator_norm(matrices: Tensor) -> Tensor:
    """‖M‖₂ of each matrix: its largest singular value.

    The square root of the largest eigenvalue of the smaller Gram matrix, or, above `SMALL`, of its Lanczos
    approximation with full reorthogonalisation, exact once the Krylov space is exhausted.

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
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.transpose(1, 2)
    if wide.shape[1] <= SMALL:
        return extreme_eigenvalues(torch.bmm(wide, wide.transpose(1, 2)))[1].clamp_min(0.0).sqrt()
    return _lanczos(wide).clamp_min(0.0).sqrt()


def extreme_eigenvalues(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest eigenvalue of each symmetric matrix.

    Args:
        symmetric: shape (B, n, n); entries that are not finite give NaN.

    Returns:
        Two tensors of shape (B,).

    >>> [float(v) for v in extreme_eigenvalues(torch.diag(torch.tensor([1.0, 2.0, 5.0]))[None])]
    [1.0, 5.0]
    """
    n = symmetric.shape[-1]
    size = -(-n // 8) * 8
    finite = torch.isfinite(symmetric).all(-1).all(-1)
    padded = symmetric.new_zeros((len(symmetric), size, size))
    padded[:, :n, :n] = torch.where(finite[:, None, None], symmetric, 0.0)
    inside = padded.diagonal(dim1=1, dim2=2)[:, :n].mean(1)  # between the extremes, so padding hides there
    for i in range(n, size):
        padded[:, i, i] = inside
    values = torch.linalg.eigvalsh(padded)
    nan = torch.full_like(inside, torch.nan)
    return torch.where(finite, values[:, 0], nan), torch.where(finite, values[:, -1], nan)


def _lanczos(wide: Tensor) -> Tensor:
    """Largest eigenvalue of M Mᵀ for each M of shape (B, r, c), r ≤ c; shape (B,)."""
    cells, rows, _ = wide.shape
    limit = -(-rows // CHECK) * CHECK
    basis = wide.new_zeros((cells, limit + 1, rows))
    alphas, betas = wide.new_zeros((cells, limit)), wide.new_zeros((cells, limit))
    basis[:, 0] = torch.as_tensor(_start(rows), dtype=wide.dtype, device=wide.device)
    value, settled = wide.new_zeros(cells), torch.zeros(cells, dtype=torch.bool, device=wide.device)
    for k in range(limit):
        v = basis[:, k, :, None]
        w = torch.bmm(wide, torch.bmm(wide.transpose(1, 2), v))
        alphas[:, k] = (w * v).sum((1, 2))
        for _ in range(2):  # twice is enough to stay orthogonal to rounding
            earlier = basis[:, : k + 1]
            w = w - torch.bmm(earlier.transpose(1, 2), torch.bmm(earlier, w))
        beta = w.square().sum((1, 2)).sqrt()
        scale = alphas[:, : k + 1].abs().amax(1)
        alive = beta > 64 * torch.finfo(wide.dtype).eps * scale  # else the Krylov space is exhausted
        betas[:, k] = torch.where(alive, beta, 0.0)
        basis[:, k + 1] = torch.where(alive[:, None], w[..., 0] / beta[:, None], 0.0)
        if (k + 1) % CHECK == 0:
            ritz = _largest_ritz(alphas[:, : k + 1], betas[:, :k])
            done = (ritz - value).abs() <= SETTLED * ritz.abs()
            value = torch.where(settled, value, ritz)
            settled = settled | done
            if bool(settled.all()):
                break
    return value


def _largest_ritz(alphas: Tensor, betas: Tensor) -> Tensor:
    """Largest eigenvalue of the symmetric tridiagonal matrices with these diagonals; shape (B,)."""
    tridiagonal = torch.diag_embed(alphas) + torch.diag_embed(betas, 1) + torch.diag_embed(betas, -1)
    return torch.linalg.eigvalsh(tridiagonal)[:, -1]


@functools.cache
def _start(rows: int) -> np.ndarray:
    vector = np.random.Generator(np.random.Philox(0)).standard_normal(rows)
    return np.asarray(vector / np.linalg.norm(vector))
