"""Operator norm of the Hessian of an output in the parameters: Lanczos on Hessian-vector products.

Weight matrices are needed here. An input x of unit norm acts through W^(1)x alone, and the Hessian vanishes
on what is orthogonal to it, so that an input of dimension 1 has the same norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, vmap

from widesweep.workers.engine import activations
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import ActivationConfig

MOST_STEPS, CHECK_EVERY = 400, 10
CONVERGED = 1e-6  # residual of the Ritz vector over its value; the value's own error is its square over a gap

Output = Callable[[Tensor], Tensor]


def output(layers: tuple[Layer, ...], activation: ActivationConfig, x: Tensor) -> Output:
    """f(x) as a function of all parameters in one vector, W^(1), b^(1), W^(2), …, in the layers' own scales.

    Args:
        layers: first to output; the output layer has one neuron.
        activation: as the config names it.
        x: the input, shape (d,).

    Returns:
        From parameters, shape (p,), to a number.
    """
    sigma = activations.function(activation)

    def value(parameters: Tensor) -> Tensor:
        a, place = x, 0
        for index, layer in enumerate(layers):
            stop = place + layer.fan_in * layer.fan_out
            weights = parameters[place:stop].view(layer.fan_in, layer.fan_out)
            z = layer.weight_scale * (a @ weights)
            if layer.bias_scale:
                z = z + layer.bias_scale * parameters[stop : stop + layer.fan_out]
                stop += layer.fan_out
            a, place = (sigma(z) if index < len(layers) - 1 else z), stop
        return a[0]

    return value


@dataclass(frozen=True)
class Curvature:
    """What Hessian and gradient of f say of a network, each of shape (B,).

    Attributes:
        norm: ‖H‖, operator norm.
        slope: ‖∇f‖² = Θ(x, x).
        bend: ‖H∇f‖².
    """

    norm: Tensor
    slope: Tensor
    bend: Tensor


def curvature(function: Output, parameters: Tensor) -> Curvature:
    """Norms of H = ∇²f, ∇f and H∇f for each of a batch of parameters.

    Args:
        function: f.
        parameters: shape (B, p), float64.

    Returns:
        The three norms.

    Raises:
        ArithmeticError: Lanczos has not converged.

    >>> f = lambda p: p[0] ** 2 - 3.0 * p[1] ** 2
    >>> found = curvature(f, torch.ones(1, 2, dtype=torch.float64))
    >>> round(float(found.norm[0]), 12), float(found.slope[0]), float(found.bend[0])
    (6.0, 40.0, 1312.0)
    """
    gradient = grad(function)

    def product(p: Tensor, v: Tensor) -> Tensor:
        along: Tensor = grad(lambda q: gradient(q) @ v)(p)
        return along

    slope = vmap(gradient)(parameters)
    bend = vmap(product)(parameters, slope)
    # fixed and without symmetry, and in the Hessian's range
    start = vmap(product)(parameters, slope + slope.norm(dim=1, keepdim=True) * _fixed(parameters))
    norm = _largest(lambda v: vmap(product)(parameters, v), start)
    return Curvature(norm, slope.square().sum(1), bend.square().sum(1))


def _fixed(parameters: Tensor) -> Tensor:
    """A fixed direction without symmetry, of about unit length."""
    p = parameters.shape[1]
    return torch.cos(1.0 + torch.arange(p, dtype=parameters.dtype) ** 2 * 0.618).mul_((2.0 / p) ** 0.5)


def _largest(product: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Largest |eigenvalue| of each symmetric operator, by Lanczos with a recurrence of three terms.

    Rounding makes copies of eigenvalues that have converged, and never moves the extreme one (Paige 1980), so
    that no basis is kept.
    """
    size = start.norm(dim=1)
    before, now = torch.zeros_like(start), start / _divisor(size, size)[:, None]
    alphas: list[Tensor] = []
    betas: list[Tensor] = [torch.zeros_like(size)]
    size = torch.zeros_like(size)
    for step in range(1, MOST_STEPS + 1):
        v = product(now) - betas[-1][:, None] * before
        alphas.append((v * now).sum(1))
        v = v - alphas[-1][:, None] * now
        betas.append(v.norm(dim=1))
        size = torch.maximum(size, alphas[-1].abs() + betas[-1])
        before, now = now, v / _divisor(betas[-1], size)[:, None]
        if step % CHECK_EVERY == 0:
            largest, residual = _ritz(alphas, betas[1:])
            if bool((residual <= CONVERGED * largest).all()):
                return largest
    raise ArithmeticError(f"the Hessian's norm has not converged in {MOST_STEPS} Lanczos steps")


def _ritz(alphas: list[Tensor], betas: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Largest |Ritz value| and the norm of its residual, each (B,)."""
    a, b = torch.stack(alphas, 1), torch.stack(betas, 1)
    matrix = torch.diag_embed(a) + torch.diag_embed(b[:, :-1], 1) + torch.diag_embed(b[:, :-1], -1)
    values, vectors = torch.linalg.eigh(matrix)
    place = values.abs().argmax(1, keepdim=True)
    last = vectors[:, -1, :].gather(1, place)[:, 0].abs()
    return values.abs().gather(1, place)[:, 0], last * b[:, -1]


def _divisor(norm: Tensor, size: Tensor) -> Tensor:
    """The norm; ∞ where it is rounding beside the operator's size, for then the Krylov space is complete."""
    return torch.where(norm > 1e-10 * size.clamp(min=1e-300), norm, torch.inf)
