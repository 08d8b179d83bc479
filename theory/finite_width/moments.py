"""Exact finite-width cumulants of one output of a scale-invariant network, in rational arithmetic.

Given layer l, the next variance is q_{l+1} = q_l F_l, F_l = (C_W/n_l) Σ_j s_j² g_j², and the output is
N(0, q).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array


def exact_cumulants(widths: Sequence[int], activation: Activation, orders: Sequence[int]) -> Array:
    """Normalised cumulants of one output: κ_{2k}/K^k = (2k − 1)!! c_k(q/K), exact at finite width.

    q/K = Π_l F_l, so E[(q/K)^k] = Π_l E[F_l^k], and c_k is its k-th cumulant; K is the output's variance.
    Without biases C_W only scales K, so the normalised cumulants do not depend on it. Rational arithmetic:
    no cancellation.

    Args:
        widths: n_1 … n_L of the hidden layers, integers ≥ 1; they may differ.
        activation: scale-invariant (`slopes` set).
        orders: 2k, even integers ≥ 2.

    Returns:
        Shape (len(orders),), one number per order; inf where float64 does not hold it.

    Raises:
        ValueError: the activation is not scale-invariant, a width is below 1, or an order is not even.

    Source: Hanin and Nica 2019, arXiv:1909.05989, and Hanin 2022, arXiv:2204.01058, for the product
    structure.

    >>> from widesweep.theory.activations import RELU
    >>> exact_cumulants([10, 10], activation=RELU, orders=[2, 4])
    array([1.  , 3.75])
    """
    half_orders = [_half(order) for order in orders]
    moments = variance_moments(widths, activation, max(half_orders, default=1))
    cumulants = _cumulants_from_moments(moments)
    return np.array([_as_float(_double_factorial(2 * k - 1) * cumulants[k]) for k in half_orders])


def _as_float(exact: Fraction) -> float:
    """The nearest float64; ±inf beyond its range."""
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def variance_moments(widths: Sequence[int], activation: Activation, highest: int) -> list[Fraction]:
    """E[(q/K)^k] = Π_l E[F_l^k] for k = 0 … highest, q the conditional variance of the output.

    Args:
        widths: n_1 … n_L.
        activation: scale-invariant.
        highest: largest k.

    Returns:
        highest + 1 exact fractions.

    Raises:
        ValueError: as `exact_cumulants`.

    Source: as `exact_cumulants`; E[F²] = 1 + 5/n for ReLU, 1 + 2/n for linear.

    >>> from widesweep.theory.activations import RELU
    >>> variance_moments([10], RELU, 2)
    [Fraction(1, 1), Fraction(1, 1), Fraction(3, 2)]
    """
    if activation.slopes is None:
        raise ValueError(
            f"{activation.name} is not scale-invariant; theory.finite_width.cumulants has its leading order."
        )
    if any(width < 1 for width in widths):
        raise ValueError(f"widths {list(widths)}: every hidden layer has at least one neuron.")
    single = _neuron_moments(activation.slopes, highest)
    result = [Fraction(1)] * (highest + 1)
    for width, layers in Counter(int(width) for width in widths).items():
        layer = _mean_moments(single, width)
        result = [total * moment**layers for total, moment in zip(result, layer, strict=True)]
    return result


def _neuron_moments(slopes: tuple[float, float], highest: int) -> list[Fraction]:
    """E[X^k], X = C_W s²g² with E[X] = 1: A_{2k} (2k − 1)!! / A_2^k, A_k = (a₋^k + a₊^k)/2."""
    squares = [Fraction(slope) ** 2 for slope in slopes]
    mean = sum(squares, Fraction(0)) / 2
    return [
        sum((square**k for square in squares), Fraction(0)) / 2 * _double_factorial(2 * k - 1) / mean**k
        for k in range(highest + 1)
    ]


def _mean_moments(single: list[Fraction], count: int) -> list[Fraction]:
    """Moments of the mean of `count` independent copies, through cumulants: κ_k / count^(k−1)."""
    cumulants = _cumulants_from_moments(single)
    return _moments_from_cumulants(
        [Fraction(0)] + [cumulants[k] / Fraction(count) ** (k - 1) for k in range(1, len(cumulants))]
    )


def _cumulants_from_moments(moments: list[Fraction]) -> list[Fraction]:
    """κ_k = m_k − Σ_{j<k} C(k−1, j−1) κ_j m_{k−j}."""
    cumulants = [Fraction(0)]
    for k in range(1, len(moments)):
        rest = sum(
            (math.comb(k - 1, j - 1) * cumulants[j] * moments[k - j] for j in range(1, k)), Fraction(0)
        )
        cumulants.append(moments[k] - rest)
    return cumulants


def _moments_from_cumulants(cumulants: list[Fraction]) -> list[Fraction]:
    """m_k = Σ_{j≤k} C(k−1, j−1) κ_j m_{k−j}."""
    moments = [Fraction(1)]
    for k in range(1, len(cumulants)):
        terms = (math.comb(k - 1, j - 1) * cumulants[j] * moments[k - j] for j in range(1, k + 1))
        moments.append(sum(terms, Fraction(0)))
    return moments


def _double_factorial(odd: int) -> int:
    """(2k − 1)!! with (−1)!! = 1."""
    return math.prod(range(odd, 0, -2))


def _half(order: int) -> int:
    if order < 2 or order % 2:
        raise ValueError(f"order {order}: the orders are even, from 2; odd cumulants vanish by symmetry.")
    return order // 2
