"""Cumulants of one output at leading order in 1/n, for any activation, by recursion over the layers.

The conditional variance is a Markov chain, q_{l+1} = C_b + (C_W/n) Σ_j σ(√q_l g_j)². Given q it has mean
f(q) = C_b + C_W E[σ²] and cumulants κ_k(q) = (C_W^k/n^(k−1)) cum_k(σ²). Fluctuations δ = q − K have
cumulants c_k = O(1/n^(k−1)), and the law of total cumulance, cut at leading order (tree diagrams), closes
on f, κ_k and their derivatives at K.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.quadrature import gaussian_rule

HIGHEST = 4  # cumulants of q up to the fourth: orders 4, 6, 8 of the output


@dataclass(frozen=True)
class VarianceCumulants:
    """Leading order of the conditional variance q of one layer's pre-activations at width n.

    Args:
        mean: K, the infinite-width variance.
        second: n c_2(q).
        third: n² c_3(q).
        fourth: n³ c_4(q).
    """

    mean: float
    second: float = 0.0
    third: float = 0.0
    fourth: float = 0.0


def leading_cumulants(
    width: int,
    depth: int,
    activation: Activation,
    orders: Sequence[int],
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
) -> Array:
    """Normalised cumulants of one output, κ_{2k}/K^k = (2k − 1)!! c_k(q)/K^k, at leading order in 1/n.

    Args:
        width: n, the same in every hidden layer.
        depth: L ≥ 0 hidden layers.
        activation: any σ.
        orders: among 2, 4, 6, 8.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        first_weight_variance: C_W of layer 1, if different; the input has unit norm.

    Returns:
        Shape (len(orders),).

    Raises:
        ValueError: an order is not one of the four, or width, depth or a variance is out of range.

    Source: Roberts, Yaida and Hanin 2021, arXiv:2106.10165, for the fourth cumulant; sixth and eighth
    derived here.

    >>> from widesweep.theory.activations import RELU
    >>> leading_cumulants(100, 1, RELU, [2, 4], weight_variance=2.0).round(6)
    array([1.  , 0.15])
    """
    if width < 1:
        raise ValueError(f"width {width}: a hidden layer has at least one neuron.")
    wrong = [order for order in orders if order not in (2, 4, 6, 8)]
    if wrong:
        raise ValueError(f"orders {wrong}: the recursion is written for 2, 4, 6 and 8.")
    last = variance_recursion(
        depth,
        activation,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        first_weight_variance=first_weight_variance,
    )[-1]
    scaled = {
        2: 1.0,
        4: 3.0 * last.second / (width * last.mean**2),
        6: 15.0 * last.third / (width**2 * last.mean**3),
        8: 105.0 * last.fourth / (width**3 * last.mean**4),
    }
    return np.array([scaled[order] for order in orders])


def variance_recursion(
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
) -> list[VarianceCumulants]:
    """Leading cumulants of q for the pre-activations of layers 1 … L + 1, in powers of 1/n taken out.

    With f, κ_k and their derivatives at K: c_2' = κ_2 + f_1²c_2; c_3' = κ_3 + 3f_1κ_2'c_2 + f_1³c_3 +
    3f_1²f_2c_2²; c_4' = κ_4 + 4f_1κ_3'c_2 + 3κ_2'²c_2 + 6(f_1²κ_2'c_3 + (2f_1f_2κ_2' + f_1²κ_2'')c_2²) +
    f_1⁴c_4 + 12f_1³f_2c_2c_3 + (12f_1²f_2² + 4f_1³f_3)c_2³.

    Args:
        depth: L ≥ 0 hidden layers.
        activation: any σ.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        first_weight_variance: C_W of layer 1, if different.

    Returns:
        L + 1 records, the output's last; the first has no fluctuation.

    Raises:
        ValueError: depth or a variance is out of range.

    Source: law of total cumulance; the second line is science's V recursion with V = c_2.

    >>> from widesweep.theory.activations import LINEAR
    >>> variance_recursion(2, LINEAR, weight_variance=1.0)[-1].second
    4.0
    """
    first = weight_variance if first_weight_variance is None else first_weight_variance
    if depth < 0 or not (weight_variance > 0.0 and first > 0.0 and bias_variance >= 0.0):
        raise ValueError(
            f"depth {depth}, weight variances {first}, {weight_variance}, bias variance {bias_variance}: "
            "depth and bias variance are not negative, weight variances are positive."
        )
    layers = [VarianceCumulants(bias_variance + first)]
    for _ in range(depth):
        layers.append(_next_layer(layers[-1], activation, weight_variance, bias_variance))
    return layers


def _next_layer(
    now: VarianceCumulants, activation: Activation, weight: float, bias: float
) -> VarianceCumulants:
    """One step of the recursion in `variance_recursion`."""
    m = moment_derivatives(activation, now.mean)
    f1, f2, f3 = weight * m[1, 1:]
    k2, k2d, k2dd = weight**2 * _second(m)
    k3, k3d = weight**3 * _third(m)
    k4 = weight**4 * _fourth(m)
    c2, c3, c4 = now.second, now.third, now.fourth
    second = k2 + f1**2 * c2
    third = k3 + 3 * f1 * k2d * c2 + f1**3 * c3 + 3 * f1**2 * f2 * c2**2
    noise = k4 + (4 * f1 * k3d + 3 * k2d**2) * c2
    mixed = 6 * (f1**2 * k2d * c3 + (2 * f1 * f2 * k2d + f1**2 * k2dd) * c2**2)
    carried = f1**4 * c4 + 12 * f1**3 * f2 * c2 * c3 + (12 * f1**2 * f2**2 + 4 * f1**3 * f3) * c2**3
    mean = bias + weight * m[1, 0]
    return VarianceCumulants(float(mean), float(second), float(third), float(noise + mixed + carried))


def moment_derivatives(activation: Activation, variance: float) -> Array:
    """∂_q^d E[σ(√q g)^{2k}] = E[σ^{2k} He_{2d}(g)]/(2q)^d: no derivative of σ is needed.

    Args:
        activation: any σ.
        variance: q > 0.

    Returns:
        Shape (5, 4), entry [k, d] for k = 0 … 4, d = 0 … 3.

    Source: the heat equation ∂_q p = ½ ∂_z² p of the Gaussian density.

    >>> from widesweep.theory.activations import LINEAR
    >>> moment_derivatives(LINEAR, 2.0)[2]
    array([12., 12.,  6.,  0.])
    """
    if activation.slopes is not None:
        return _power_derivatives(activation.slopes, variance)
    nodes, weights = gaussian_rule()
    squares = np.square(activation.value(math.sqrt(variance) * nodes))
    hermite = np.stack([np.polynomial.hermite_e.hermeval(nodes, [0] * 2 * d + [1]) for d in range(HIGHEST)])
    powers = np.stack([squares**k for k in range(HIGHEST + 1)])
    return np.asarray(
        (powers * weights) @ hermite.T / (2.0 * variance) ** np.arange(HIGHEST), dtype=np.float64
    )


def _power_derivatives(slopes: tuple[float, float], variance: float) -> Array:
    """The same for σ^{2k} = s^{2k} z^{2k}: A_{2k} (2k − 1)!! q^k and its derivatives."""
    result: NDArray[np.float64] = np.zeros((HIGHEST + 1, HIGHEST))
    for k in range(HIGHEST + 1):
        factor = sum(slope ** (2 * k) for slope in slopes) / 2 * math.prod(range(2 * k - 1, 0, -2))
        for d in range(min(k, HIGHEST - 1) + 1):
            result[k, d] = factor * math.perm(k, d) * variance ** (k - d)
    return result


def _second(m: Array) -> Array:
    """cum_2(σ²) and its first two derivatives in q."""
    return np.array(
        [
            m[2, 0] - m[1, 0] ** 2,
            m[2, 1] - 2 * m[1, 0] * m[1, 1],
            m[2, 2] - 2 * m[1, 1] ** 2 - 2 * m[1, 0] * m[1, 2],
        ]
    )


def _third(m: Array) -> Array:
    """cum_3(σ²) and its first derivative in q."""
    return np.array(
        [
            m[3, 0] - 3 * m[2, 0] * m[1, 0] + 2 * m[1, 0] ** 3,
            m[3, 1] - 3 * (m[2, 1] * m[1, 0] + m[2, 0] * m[1, 1]) + 6 * m[1, 0] ** 2 * m[1, 1],
        ]
    )


def _fourth(m: Array) -> float:
    """cum_4(σ²)."""
    m1, m2, m3, m4 = m[1:, 0]
    return float(m4 - 4 * m3 * m1 - 3 * m2**2 + 12 * m2 * m1**2 - 6 * m1**4)
