"""Largest eigenvalue of the loss's Hessian, from gradients alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.parameters import Parameters

STEPS = 32  # of Lanczos' method, the same for every cell, so that no cell's bits depend on its neighbours
VANISHED = 1e-10  # share of the matrix's size below which the Krylov space is exhausted


def sharpness(ensemble: Ensemble, residual_of: Callable[[Tensor], Tensor]) -> Tensor:
    """λ_max of ∇²L(θ), L the loss, over the parameters that train, shape (B,).

    Lanczos' method without reorthogonalisation, whose extreme eigenvalues converge all the same, from a
    combination of the gradients of the outputs. A product with the Hessian is a central difference of two
    gradients, (∇L(θ + εv) − ∇L(θ − εv)) / 2ε with ‖v‖ = 1 and ε the cube root of the precision: an error of
    about 1e-10 of λ_max in float64, 1e-5 in float32. Across a kink of the activation it is the mean slope.

    Args:
        ensemble: the batch; it does not move.
        residual_of: ∂L/∂(αf) of outputs αf, both of shape (B, n·K).

    Source: Golub & Van Loan, Matrix Computations, 4th ed., chapter 10; Cohen et al. 2021, arXiv:2103.00065,
    who call this eigenvalue the sharpness.
    """
    hessian = _Hessian(ensemble, residual_of)
    v, before = hessian.start(), hessian.zeros()
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    beta = torch.zeros_like(_dot(v, v))
    for _ in range(STEPS):
        product = hessian.times(v)
        alpha = _dot(product, v)
        for w, now, last in zip(product, v, before, strict=True):
            w.sub_(now * _wide(alpha)).sub_(last * _wide(beta))
        size = torch.stack([*(each.abs() for each in diagonal), alpha.abs()]).amax(0)
        beta = _dot(product, product).sqrt()
        beta = torch.where(beta > VANISHED * size, beta, 0.0)
        diagonal.append(alpha)
        beside.append(beta)
        scale = _wide(torch.where(beta > 0, 1.0 / beta, 0.0))
        before, v = v, [w.mul_(scale) for w in product]
    return _largest(torch.stack(diagonal, 1), torch.stack(beside, 1)[:, :-1])


def _largest(diagonal: Tensor, beside: Tensor) -> Tensor:
    """The largest eigenvalue of tridiagonal matrices, on the CPU in float64; NaN of no numbers."""
    made = torch.diag_embed(diagonal) + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
    rows = made.to("cpu", torch.float64).numpy()
    finite = np.isfinite(rows).all((1, 2))  # LAPACK may raise, for all of them, where one is not
    every = np.linalg.eigvalsh(np.where(finite[:, None, None], rows, 0.0))[:, -1]
    return torch.as_tensor(np.where(finite, every, np.nan)).to(diagonal)


class _Hessian:
    """∇²L of a batch, times vectors: lists of (B, …) like what trains."""

    def __init__(self, ensemble: Ensemble, residual_of: Callable[[Tensor], Tensor]) -> None:
        self.origin = ensemble.trained.tensors
        self.probe, self.offset, self.residual_of = ensemble.copied(), ensemble.offset, residual_of
        self.moved: Parameters = self.probe.trained
        self.epsilon = float(torch.finfo(ensemble.x.dtype).eps) ** (1.0 / 3.0)

    def zeros(self) -> list[Tensor]:
        return [torch.zeros_like(each) for each in self.origin]

    def start(self) -> list[Tensor]:
        """Σ_i c_i ∇(αf_i), normalised, with the same random c for every batch."""
        random = np.random.default_rng(0).standard_normal(self.probe.width_of_outputs)
        weights = torch.as_tensor(random).to(self.probe.x)
        self._to(0.0, self.origin)
        self.probe.forward()
        along = self._gradient(weights.expand(len(self.probe), -1).contiguous())
        norm = _wide(_dot(along, along).sqrt())
        return [torch.where(norm > 0, each / norm, 0.0) for each in along]

    def times(self, v: list[Tensor]) -> list[Tensor]:
        ahead, behind = (self._at(sign * self.epsilon, v) for sign in (1.0, -1.0))
        return [(a - b) / (2.0 * self.epsilon) for a, b in zip(ahead, behind, strict=True)]

    def _at(self, distance: float, v: list[Tensor]) -> list[Tensor]:
        """∇L(θ + distance · v)."""
        self._to(distance, v)
        outputs = self.probe.forward()
        return self._gradient(self.residual_of(outputs if self.offset is None else outputs - self.offset))

    def _to(self, distance: float, v: list[Tensor]) -> None:
        for moved, origin, along in zip(self.moved.tensors, self.origin, v, strict=True):
            torch.add(origin, along, alpha=distance, out=moved)

    def _gradient(self, residual: Tensor) -> list[Tensor]:
        """Σ_i residual_i ∇(αf_i) where the probe stands."""
        room = self.probe.zeros()
        self.probe.backward(residual)
        self.probe.subtract_gradient(-1.0, room)
        return room.tensors


def _dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Inner product of each cell's vectors, shape (B,)."""
    products = [_sum(x * y) for x, y in zip(a, b, strict=True)]
    return torch.stack(products, 1).sum(1)


def _sum(matrices: Tensor) -> Tensor:
    """Σ of each matrix's entries: rows first, each at a place of its own boundary, then their sums."""
    rows = memory_layout.copy(matrices).sum(2)
    return memory_layout.copy(rows[:, None]).sum((1, 2))


def _wide(scalars: Tensor) -> Tensor:
    return scalars[:, None, None]
