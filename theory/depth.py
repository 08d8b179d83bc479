"""K^(l)(x, x) and its derivative by layer: infinite-width recursions, and the mean's 1/n correction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.activations import Activation
from theory.arrays import Array
from theory.cumulants import moment_derivatives, variance_recursion
from theory.duals import second_moments


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

    >>> from theory.activations import RELU
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


def finite_width_mean(
    width: int,
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
) -> float:
    """E[z²] of an output at width n: K + μ/n, with μ ← f'μ + ½ f'' c_2, f(q) = C_b + C_W E[σ²].

    c_2/n is the variance of q at leading order; scale-invariant activations have f'' = 0 and need no
    correction.

    Args:
        width: n of every hidden layer.
        depth: L ≥ 0.
        activation: any σ.
        weight_variance: C_W.
        bias_variance: C_b.
        first_weight_variance: C_W of layer 1, if different.

    Returns:
        The mean, with an error of order 1/n².

    Raises:
        ValueError: an argument is out of range.

    Source: E[f(q)] to second order in q − K; Roberts, Yaida and Hanin 2021, arXiv:2106.10165.

    >>> from theory.activations import LINEAR
    >>> finite_width_mean(5, 3, LINEAR, weight_variance=1.0)
    1.0
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
    correction = 0.0
    for layer in layers[:-1]:
        derivatives = weight_variance * moment_derivatives(activation, layer.mean)[1]
        correction = float(derivatives[1] * correction + 0.5 * derivatives[2] * layer.second)
    return layers[-1].mean + correction / width
