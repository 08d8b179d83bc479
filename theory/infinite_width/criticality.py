"""Critical initialisation: where variances neither explode nor vanish with depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.finite_width.cumulants import moment_derivatives
from widesweep.theory.infinite_width.duals import second_moments


@dataclass(frozen=True)
class CriticalPoint:
    """A critical initialisation of one activation.

    Args:
        weight_variance: C_W*.
        bias_variance: C_b*.
        variance: K*, the fixed point; nan where every K is one.
        universality_class: scale-invariant, K* = 0, or half-stable.
    """

    weight_variance: float
    bias_variance: float
    variance: float
    universality_class: str


def critical_weight_variance(activation: Activation) -> float:
    """C_W* at which χ∥ = χ⊥ = 1: 2/(a₋² + a₊²), 1/σ'(0)², or the half-stable value.

    For GELU it is 1.983, and belongs to C_b* = 0.173, not to 0: see `critical_point`. At C_b = 0 and the
    same C_W, GELU's variance decays with depth.

    Args:
        activation: any σ.

    Returns:
        C_W*.

    Raises:
        ValueError: no critical point was found.

    Source: Roberts, Yaida and Hanin 2021, arXiv:2106.10165, criticality of several activations.

    >>> from widesweep.theory.activations import ERF, GELU, RELU, TANH
    >>> [round(critical_weight_variance(a), 4) for a in (RELU, TANH, ERF, GELU)]
    [2.0, 1.0, 0.7854, 1.9831]
    """
    return critical_point(activation).weight_variance


def preserving_weight_variance(activation: Activation, bias_variance: float = 0.0) -> float:
    """C_W at which inputs of unit norm have the same K in every layer: K = C_b + C_W with E[σ(√K g)²] = 1.

    Scale-invariant σ has C_W*, which keeps every K at C_b = 0. So has the class K* = 0, where K falls as
    slowly as it can, and σ for which no such K exists.

    Args:
        activation: any σ.
        bias_variance: C_b ≥ 0.

    Returns:
        C_W.

    Raises:
        ValueError: neither a fixed point nor a critical point was found.

    Source: K^(1) = C_b + C_W and K^(l+1) = C_b + C_W E[σ(√K^(l) g)²]; see `critical_point` for C_W*.

    >>> from widesweep.theory.activations import GELU, RELU, TANH
    >>> [round(preserving_weight_variance(a), 4) for a in (RELU, TANH, GELU)]
    [2.0, 1.0, 2.1551]
    """

    def excess(log_variance: float) -> float:
        return float(second_moments(activation, np.exp([log_variance]))[0][0]) - 1.0

    ends = np.log(1e-2), np.log(1e2)
    if _falls_slowly(activation) or excess(ends[0]) * excess(ends[1]) >= 0.0:
        return critical_weight_variance(activation)
    from scipy.optimize import brentq  # slow to import, and needed for half-stable activations alone

    weight = float(np.exp(brentq(excess, *ends, xtol=1e-14, rtol=1e-14))) - bias_variance
    return weight if weight > 0.0 else critical_weight_variance(activation)


def _falls_slowly(activation: Activation) -> bool:
    """Whether it has the default of a class in which K = 0 attracts, or of the scale-invariant one."""
    if activation.slopes is not None:
        return True
    zero = np.zeros(1)
    slope = float(activation.derivative(zero)[0])
    odd = abs(float(activation.value(zero)[0])) < 1e-14 and slope != 0.0
    return odd and _attracts_at_zero(activation, slope)


def critical_point(activation: Activation) -> CriticalPoint:
    """(C_W*, C_b*, K*) with K* = C_b + C_W E[σ²], χ∥ = C_W ∂_K E[σ²] = 1 and χ⊥ = C_W E[σ'²] = 1.

    Scale-invariant: both hold at every K. K* = 0: σ(0) = 0 and E[σ²]/K falls with K, so that K = 0
    attracts slowly. Otherwise half-stable: the K* > 0 at which ∂_K E[σ²] = E[σ'²], and C_b* = K* − C_W E[σ²].

    Args:
        activation: any σ.

    Returns:
        The critical point with its universality class.

    Raises:
        ValueError: none of the three kinds was found with 1e-2 ≤ K* ≤ 1e2 and C_b* ≥ 0.

    Source: Roberts, Yaida and Hanin 2021, arXiv:2106.10165; GELU there: K* = (3 + √17)/2.

    >>> from widesweep.theory.activations import GELU
    >>> point = critical_point(GELU)
    >>> round(point.variance, 6), round(point.bias_variance, 5)
    (3.561553, 0.17292)
    """
    if activation.slopes is not None:
        low, high = activation.slopes
        mean_square = (low * low + high * high) / 2  # a product gives inf where a power raises
        if not 0.0 < mean_square < float("inf"):
            raise ValueError(f"slopes {activation.slopes}: their squares leave float64")
        return CriticalPoint(1.0 / mean_square, 0.0, float("nan"), "scale-invariant")
    if not _falls_slowly(activation):
        return _half_stable(activation)
    slope = float(activation.derivative(np.zeros(1))[0])
    return CriticalPoint(1.0 / slope**2, 0.0, 0.0, "K* = 0")


def _attracts_at_zero(activation: Activation, slope: float) -> bool:
    """Whether E[σ²]/(σ'(0)² K) < 1 just above K = 0."""
    small = 1e-3
    return float(second_moments(activation, np.array([small]))[0][0]) < slope**2 * small


def _half_stable(activation: Activation) -> CriticalPoint:
    """The smallest K* > 0 at which χ∥ = χ⊥."""
    from scipy.optimize import brentq  # slow to import, and needed for half-stable activations alone

    gap = _susceptibility_gap(activation)
    grid = np.geomspace(1e-2, 1e2, 81)
    values = np.array([gap(float(k)) for k in grid])
    for i in np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:])):
        variance = float(brentq(gap, float(grid[i]), float(grid[i + 1]), xtol=1e-14, rtol=1e-14))
        value, slope = second_moments(activation, np.array([variance]))
        weight = 1.0 / float(slope[0])
        bias = variance - weight * float(value[0])
        if bias >= 0.0:
            return CriticalPoint(weight, bias, variance, "half-stable")
    raise ValueError(
        f"{activation.name}: no critical point with K* in [0.01, 100] and C_b not negative; "
        "give weight_variance and bias_variance yourself."
    )


def _susceptibility_gap(activation: Activation) -> Callable[[float], float]:
    def gap(variance: float) -> float:
        parallel = moment_derivatives(activation, variance)[1, 1]
        return float(parallel - second_moments(activation, np.array([variance]))[1][0])

    return gap
