"""Extreme eigenvalues by products alone: for devices whose libraries diagonalise one matrix after another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETWEEN = 3  # squarings between two normalisations: entries shrink by n⁻⁴ at most


def squarings(dtype: torch.dtype) -> int:
    """k with 2^k = 1/(8ε) of a precision.

    >>> squarings(torch.float64), squarings(torch.float32)
    (49, 20)
    """
    return -round(math.log2(8 * torch.finfo(dtype).eps))


def extremes(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest eigenvalue of each symmetric matrix A.

    With c = ‖A‖_F both c − A and c + A are positive; P ∝ (c ± A)^(2^k) tends to the projector on the extreme
    eigenvectors, and λ = tr(PA)/tr P. Eigenvalues closer than ε of c stay mixed, so that 2^k = 1/(8ε) leaves
    an error of order ε‖A‖_F, as backward stable methods do.

    Args:
        symmetric: shape (B, n, n), finite.

    Returns:
        Two tensors of shape (B,).

    Source: the power method; Golub & Van Loan, Matrix Computations, 4th ed., chapter 7.

    >>> one = torch.diag(torch.tensor([-3.0, 1.0, 2.0], dtype=torch.float64))[None]
    >>> [round(float(v), 12) for v in extremes(one)]
    [-3.0, 2.0]
    """
    tiny = torch.finfo(symmetric.dtype).tiny
    scale = symmetric.abs().amax((1, 2), keepdim=True).clamp_min(tiny)
    a = symmetric / scale
    c = torch.linalg.vector_norm(a, dim=(1, 2), keepdim=True)
    shift = c * torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
    power = torch.cat([shift - a, shift + a])
    room = torch.empty_like(power)
    for k in range(squarings(a.dtype)):
        if k % BETWEEN == 0:
            power.div_(torch.linalg.vector_norm(power, dim=(1, 2), keepdim=True).clamp_min(tiny))
        torch.bmm(power, power, out=room)
        power, room = room, power
    along = (power.view(2, *a.shape) * a).sum((2, 3))
    trace = power.diagonal(dim1=1, dim2=2).sum(1).view(2, -1)
    least, largest = along / trace.clamp_min(tiny) * scale[:, 0, 0]
    return least, largest
