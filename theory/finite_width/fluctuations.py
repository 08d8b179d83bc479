"""What else fluctuates at finite width: squared outputs, gradients, the tangent kernel. One input, no biases.

For the scale-invariant family a neuron's slope s ∈ {a₋, a₊} is a fair coin independent of all else in
every quantity that is even in each row of each weight matrix (flip a row's sign), so that norms multiply
layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.finite_width.cumulants import leading_cumulants
from widesweep.theory.finite_width.moments import exact_cumulants, variance_moments


def squared_output_covariance(widths: Sequence[int], activation: Activation) -> float:
    """Cov(z_1², z_2²)/K² = Var(q)/K² = κ4/(3K²) of two outputs of one network, exact.

    Given the hidden layers the outputs are independent N(0, q), so their squares share q and nothing else.

    Args:
        widths: n_1 … n_L.
        activation: scale-invariant; for others see `leading_squared_output_covariance`.

    Returns:
        The covariance in units of K².

    Raises:
        ValueError: the activation is not scale-invariant, or a width is below 1.

    Source: Hanin 2022, arXiv:2204.01058, the corollary on squared outputs; exact by `finite_width.moments`.

    >>> from widesweep.theory.activations import RELU
    >>> squared_output_covariance([10], RELU)
    0.5
    """
    return float(exact_cumulants(widths, activation, [4])[0] / 3.0)


def leading_squared_output_covariance(
    width: int, depth: int, activation: Activation, *, weight_variance: float, bias_variance: float = 0.0
) -> float:
    """Cov(z_1², z_2²)/K² at leading order in 1/n for any activation, with or without biases.

    Args:
        width: n of every hidden layer.
        depth: L.
        activation: any σ.
        weight_variance: C_W.
        bias_variance: C_b.

    Returns:
        The covariance in units of K².

    Raises:
        ValueError: an argument is out of range.

    Source: as `cumulants.leading_cumulants`; biases differ between outputs but q does not.

    >>> from widesweep.theory.activations import RELU
    >>> round(leading_squared_output_covariance(10, 1, RELU, weight_variance=2.0), 12)
    0.5
    """
    fourth = leading_cumulants(
        width, depth, activation, [4], weight_variance=weight_variance, bias_variance=bias_variance
    )
    return float(fourth[0] / 3.0)


def gradient_moments(widths: Sequence[int], inputs: int, activation: Activation, highest: int) -> list[float]:
    """E[‖∂z/∂x‖^{2k}]/E[‖∂z/∂x‖²]^k = Π_{j<k}(1 + 2j/d) Π_l E[F_l^k], k = 0 … highest, for one output z,
    exact.

    The gradient is run backwards: each hidden layer gives one factor F_l, and the first weights a χ²_d/d.

    Args:
        widths: n_1 … n_L.
        inputs: d, dimension of x.
        activation: scale-invariant.
        highest: largest k.

    Returns:
        highest + 1 numbers, the first two 1.

    Raises:
        ValueError: the activation is not scale-invariant, or a width or d is below 1.

    Source: Hanin and Nica 2020, arXiv:1812.05994, products of random matrices and gradients.

    >>> from widesweep.theory.activations import RELU
    >>> gradient_moments([10], 4, RELU, 2)
    [1.0, 1.0, 2.25]
    """
    if inputs < 1:
        raise ValueError(f"inputs {inputs}: a gradient has at least one component.")
    forward = variance_moments(widths, activation, highest)
    return [
        float(forward[k] * math.prod((1 + Fraction(2 * j, inputs) for j in range(k)), start=Fraction(1)))
        for k in range(highest + 1)
    ]


def gradient_variance(widths: Sequence[int], inputs: int, activation: Activation) -> float:
    """Var‖∂z/∂x‖²/E[‖∂z/∂x‖²]² = (1 + 2/d)Π_l(1 + (3A_4/A_2² − 1)/n_l) − 1, exact.

    Args:
        widths: n_1 … n_L.
        inputs: d.
        activation: scale-invariant.

    Returns:
        The relative variance: exploding and vanishing gradients where it is large.

    Raises:
        ValueError: as `gradient_moments`.

    Source: as `gradient_moments`.

    >>> from widesweep.theory.activations import LINEAR
    >>> round(gradient_variance([10], 2, LINEAR), 12)
    1.4
    """
    return gradient_moments(widths, inputs, activation, 2)[2] - 1.0


def ntk_mean(depth: int, activation: Activation, *, weight_variance: float) -> float:
    """E[Θ(x, x)] = (d + 1) C_W (C_W A_2)^d for d hidden layers, ‖x‖ = 1: exact at every width.

    Args:
        depth: d ≥ 0.
        activation: scale-invariant.
        weight_variance: C_W.

    Returns:
        The mean over initialisations of the tangent kernel's diagonal, `ntk` parameterisation, no biases.

    Raises:
        ValueError: the activation is not scale-invariant.

    Source: each of the d + 1 layers has the same mean; Hanin and Nica 2019, arXiv:1909.05989.

    >>> from widesweep.theory.activations import RELU
    >>> ntk_mean(3, RELU, weight_variance=2.0)
    8.0
    """
    second, _ = _slope_moments(activation)
    return (depth + 1) * weight_variance * (weight_variance * second) ** depth


def ntk_second_moment(widths: Sequence[int], activation: Activation) -> float:
    """E[Θ(x, x)²]/E[Θ(x, x)]², exact: (d + 1)⁻² Σ_{i,j=0..d} Π_{outside} (1 + (3ρ − 1)/n_l) · T_{i,j}.

    Θ = Σ_i ‖a^(i)‖²‖v^(i)‖², forward times backward. Layers outside (i, j] carry both factors of two equal
    norms, E[F²]. In a layer l between, one factor is a forward and one a backward norm through the same
    weights. With x = E[‖a‖² tr MMᵀ] and z = E[‖Mᵀa‖²] for the matrix M from layer i on, both normalised,
    x' = (1 + (ρ − 1)/n) x + (2ρ/n) z and z' = (ρ/n) x + (1 − 1/n + 2ρ/n) z, from (x, z) = (1, 0), and
    T_{i,j} is the last x; ρ = A_4/A_2² (2 for ReLU). Leaving z out gives the products of (1 +
    1/n)^{|i−j|}: exact for d = 1, and short by O(d²/n²) beyond. The relative variance's slope is (11/3)
    d/n for ReLU, d large; exp(5d/n) is a bound's rate up to constants and no equality.

    Args:
        widths: n_1 … n_d of the hidden layers.
        activation: scale-invariant.

    Returns:
        The ratio, ≥ 1; the relative variance is one less.

    Raises:
        ValueError: the activation is not scale-invariant, or a width is below 1.

    Source: derived here; Hanin and Nica 2019, arXiv:1909.05989, for the order exp(5 Σ 1/n).

    >>> from widesweep.theory.activations import RELU
    >>> ntk_second_moment([10], RELU)  # (2 · 1.5 + 2 · 1.1) / 4
    1.3
    """
    if any(width < 1 for width in widths):
        raise ValueError(f"widths {list(widths)}: every hidden layer has at least one neuron.")
    second, fourth = _slope_moments(activation)
    ratio = fourth / second**2
    n = np.asarray(widths, dtype=np.float64)
    same = 1.0 + (3.0 * ratio - 1.0) / n  # E[F²] of each layer
    below = np.concatenate([[1.0], np.cumprod(same)])
    above = np.concatenate([np.cumprod(same[::-1])[::-1], [1.0]])
    depth = n.size
    total = float(below[-1] * (depth + 1))
    for i in range(depth + 1):
        state = np.array([1.0, 0.0])
        for j in range(i + 1, depth + 1):
            state = _between(ratio, float(n[j - 1])) @ state
            total += 2.0 * float(below[i] * state[0] * above[j])
    return total / (depth + 1) ** 2


def _between(ratio: float, width: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The step of (x, z) through one layer."""
    return np.array(
        [
            [1.0 + (ratio - 1.0) / width, 2.0 * ratio / width],
            [ratio / width, 1.0 + (2.0 * ratio - 1.0) / width],
        ]
    )


def _slope_moments(activation: Activation) -> tuple[float, float]:
    """A_2 and A_4, A_k = (a₋^k + a₊^k)/2."""
    if activation.slopes is None:
        raise ValueError(f"{activation.name} is not scale-invariant; this law is exact for that family only.")
    second, fourth = (sum(slope**k for slope in activation.slopes) / 2.0 for k in (2, 4))
    return second, fourth
