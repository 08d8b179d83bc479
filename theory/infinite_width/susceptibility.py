"""How perturbations travel in depth: χ∥ and χ⊥, and the exponents α and β of an activation at criticality."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.finite_width.cumulants import moment_derivatives
from widesweep.theory.infinite_width.criticality import critical_point
from widesweep.theory.infinite_width.duals import second_moments


@dataclass(frozen=True)
class DepthExponents:
    """Power laws in depth at the critical point.

    Args:
        alpha: K^(L)(x, x) ~ L^−α.
        beta: ∂∂'K^(L) at x = x', along the sphere, ~ L^−β.
        alpha_error: change of the local slope when the depth was last doubled; corrections fall like log L/L.
        beta_error: the same for β.
        universality_class: as in `CriticalPoint`.
    """

    alpha: float
    beta: float
    alpha_error: float
    beta_error: float
    universality_class: str


def susceptibilities(
    activation: Activation, variance: float, *, weight_variance: float
) -> tuple[float, float]:
    """χ∥ = C_W ∂_K E[σ²] and χ⊥ = C_W E[σ'²], z ~ N(0, K): growth of a radial and an angular difference.

    Args:
        activation: any σ.
        variance: K > 0.
        weight_variance: C_W.

    Returns:
        χ∥ and χ⊥.

    Source: Roberts, Yaida and Hanin 2021, arXiv:2106.10165, parallel and perpendicular susceptibilities.

    >>> from widesweep.theory.activations import RELU
    >>> susceptibilities(RELU, 1.7, weight_variance=2.0)
    (1.0, 1.0)
    """
    parallel = weight_variance * moment_derivatives(activation, variance)[1, 1]
    perpendicular = weight_variance * second_moments(activation, np.array([variance]))[1][0]
    return float(parallel), float(perpendicular)


def depth_exponents(activation: Activation, *, depth: int = 2048) -> DepthExponents:
    """α and β from K ← C_b + C_W E[σ²], D ← χ⊥ D at the critical point, started at K = C_b + C_W.

    Scale-invariant activations have α = β = 0, those with K* = 0 (tanh, erf, sin) α = β = 1. A half-stable
    point is started at K* itself and has α = β = 0 there: from below K leaves it, for GELU to 3.0, where
    χ⊥ < 1.

    Args:
        activation: any σ with a critical point.
        depth: L ≥ 8 at which the local slope −Δlog K/Δlog L is read, between L/2 and L.

    Returns:
        The exponents, with the change of slope from the doubling before as their error.

    Raises:
        ValueError: no critical point was found, or depth below 8.

    Source: Hanin 2022, arXiv:2204.01058, universality classes; exponents as in the random-network notes.

    >>> from widesweep.theory.activations import TANH
    >>> found = depth_exponents(TANH, depth=512)
    >>> abs(found.alpha - 1) < 0.01, abs(found.beta - 1) < 0.01
    (True, True)
    """
    if depth < 8:
        raise ValueError(f"depth {depth}: two doublings before it are needed, 8 at least.")
    point = critical_point(activation)
    started = point.variance > 0.0  # at K*; nan and 0 start at C_b + C_W
    variance = point.variance if started else point.bias_variance + point.weight_variance
    derivative = 0.0
    marks = {depth // 4: (0.0, 0.0), depth // 2: (0.0, 0.0), depth: (0.0, 0.0)}
    for layer in range(1, depth + 1):
        if layer in marks:
            marks[layer] = (math.log(variance), derivative)
        value, slope = second_moments(activation, np.array([variance]))
        derivative += math.log(point.weight_variance * float(slope[0]))
        variance = point.bias_variance + point.weight_variance * float(value[0])
    (a0, b0), (a1, b1), (a2, b2) = (marks[mark] for mark in sorted(marks))
    late, early = math.log(depth / (depth // 2)), math.log((depth // 2) / (depth // 4))
    alphas = (-(a1 - a0) / early, -(a2 - a1) / late)
    betas = (-(b1 - b0) / early, -(b2 - b1) / late)
    return DepthExponents(
        alphas[1] + 0.0,
        betas[1] + 0.0,
        abs(alphas[1] - alphas[0]),
        abs(betas[1] - betas[0]),
        point.universality_class,
    )
