"""K^(l)(x, x) and its derivative by layer: infinite-width recursions, and the means' 1/n corrections."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.finite_width.cumulants import VarianceCumulants, moment_derivatives, variance_recursion
from widesweep.theory.infinite_width.duals import second_moments
from widesweep.theory.quadrature import gaussian_rule


@dataclass(frozen=True)
class KernelByDepth:
    """One input of unit norm, layers 1 … L + 1, each of shape (L + 1,).

    Args:
        kernel: K^(l)(x, x), the variance of a pre-activation.
        derivative: ∂∂'K^(l) = E[(∂_u z)²] for u a unit vector orthogonal to x.
    """

    kernel: Array
    derivative: Array


def kernel_by_depth(
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
) -> KernelByDepth:
    """K ← C_b + C_W E[σ²] and D ← C_W E[σ'²] D, z ~ N(0, K), from K = C_b + C_W, D = C_W.

    Args:
        depth: L ≥ 0 hidden layers.
        activation: any σ.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        first_weight_variance: C_W of layer 1, if different.

    Returns:
        Both by layer; the output's is the last.

    Raises:
        ValueError: depth is negative.

    Source: Roberts, Yaida and Hanin 2021, arXiv:2106.10165; Hanin 2022, arXiv:2204.01058.

    >>> from widesweep.theory.activations import RELU
    >>> kernel_by_depth(2, RELU, weight_variance=2.0).kernel
    array([2., 2., 2.])
    """
    if depth < 0:
        raise ValueError(f"depth {depth}: the number of hidden layers is 0 or more.")
    first = weight_variance if first_weight_variance is None else first_weight_variance
    kernel, derivative = [bias_variance + first], [first]
    for _ in range(depth):
        value, slope = second_moments(activation, np.array([kernel[-1]]))
        kernel.append(bias_variance + weight_variance * float(value[0]))
        derivative.append(weight_variance * float(slope[0]) * derivative[-1])
    return KernelByDepth(np.array(kernel), np.array(derivative))


@dataclass(frozen=True)
class MeansByWidth:
    """One input of unit norm, the output of a network of finite width; errors of order 1/n².

    Args:
        kernel: E[z²].
        derivative: E[(∂_u z)²] for u a unit vector orthogonal to x.
    """

    kernel: float
    derivative: float


@dataclass(frozen=True)
class _Fluctuations:
    """Orders 1/n, times n, of q = Var z, D = Var ∂_u z and P = Cov(z, ∂_u z) given the layers below.

    Args:
        kernel: E[q] − K.
        derivative: E[D] less its limit.
        both: Cov(q, D).
        cross: Var P; its mean is 0.
    """

    kernel: float = 0.0
    derivative: float = 0.0
    both: float = 0.0
    cross: float = 0.0


def finite_width_means(
    width: int,
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
) -> MeansByWidth:
    """E[z²] and E[(∂_u z)²] of an output at width n: the recursions' values and their 1/n corrections.

    With f(q) = C_b + C_W E[σ²], s(q) = C_W E[σ'²], K and D the limits, and V, c, p for n times Var q,
    Cov(q, D) and Var P:

    - μ ← f'μ + ½f''V for q;
    - ν ← sν + s'Dμ + ½s''DV + s'c + 2s'p for D, as E[σ'²w²] = E[σ'²]D + 2∂_qE[σ'²]P² for Cov(z, w) = P;
    - c ← C_W²(⟨σ²σ'²⟩ − ⟨σ²⟩⟨σ'²⟩)D + f'(sc + s'DV);
    - p ← C_W²⟨σ²σ'²⟩D + f'²p.

    Scale-invariant activations have f'' = s' = 0 and need no correction.

    Args:
        width: n of every hidden layer.
        depth: L ≥ 0.
        activation: any σ.
        weight_variance: C_W.
        bias_variance: C_b.
        first_weight_variance: C_W of layer 1, if different.

    Returns:
        Both means.

    Raises:
        ValueError: an argument is out of range.

    Source: the conditional means to second order in the fluctuations; Roberts, Yaida and Hanin 2021,
    arXiv:2106.10165, for the kernel; the derivative's is derived here.

    >>> from widesweep.theory.activations import LINEAR
    >>> found = finite_width_means(5, 3, LINEAR, weight_variance=1.0)
    >>> round(found.kernel, 12), round(found.derivative, 12)
    (1.0, 1.0)
    """
    if width < 1:
        raise ValueError(f"width {width}: a hidden layer has at least one neuron.")
    layers = variance_recursion(
        depth,
        activation,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        first_weight_variance=first_weight_variance,
    )
    derivative = weight_variance if first_weight_variance is None else first_weight_variance
    now = _Fluctuations()
    for layer in layers[:-1]:
        now, derivative = _next(now, layer, derivative, activation, weight_variance)
    return MeansByWidth(layers[-1].mean + now.kernel / width, derivative + now.derivative / width)


def _next(
    now: _Fluctuations, layer: VarianceCumulants, derivative: float, activation: Activation, weight: float
) -> tuple[_Fluctuations, float]:
    """The next layer's fluctuations and its D, from this layer's, its V and its D."""
    square, f1, f2 = weight * moment_derivatives(activation, layer.mean)[1, :3]
    slope, s1, s2, product = weight * _slope_moments(activation, layer.mean)
    noise = weight * product  # C_W²⟨σ²σ'²⟩
    spread = layer.second
    return _Fluctuations(
        kernel=float(f1 * now.kernel + 0.5 * f2 * spread),
        derivative=float(
            slope * now.derivative
            + s1 * (derivative * now.kernel + now.both + 2.0 * now.cross)
            + 0.5 * s2 * derivative * spread
        ),
        both=float(
            (noise - square * slope) * derivative + f1 * (slope * now.both + s1 * derivative * spread)
        ),
        cross=float(noise * derivative + f1**2 * now.cross),
    ), float(slope * derivative)


def _slope_moments(activation: Activation, variance: float) -> Array:
    """E[σ'²], its first two derivatives in the variance q (the heat equation), and E[σ²σ'²]."""
    nodes, weights = gaussian_rule()
    z = math.sqrt(variance) * nodes
    squares = np.square(activation.derivative(z))
    hermite = np.stack([np.ones_like(nodes), nodes**2 - 1.0, nodes**4 - 6.0 * nodes**2 + 3.0])
    by_order = hermite @ (weights * squares) / (2.0 * variance) ** np.arange(3)
    return np.append(by_order, weights @ (squares * np.square(activation.value(z))))
