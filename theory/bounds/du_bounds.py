"""The inequalities of Du et al.: convergence of wide networks, drift of neurons, the kernel at the start."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.bounds.inequalities import Bound, at_least, at_most


def two_layer_width(samples: int, lambda_zero: float, failure: float) -> float:
    """The width required by the two-layer theorem: n⁶/(λ0⁴δ³), its constant taken as 1.

    Args:
        samples: n.
        lambda_zero: λ0 = λ_min(H^∞) > 0.
        failure: δ in (0, 1).

    Returns:
        m, not rounded to an integer; inf where float64 does not hold it.

    Source: Du et al. 2018, arXiv:1810.02054, the convergence theorem of gradient descent.

    >>> two_layer_width(2, 0.5, 0.5)
    8192.0
    """
    with np.errstate(over="ignore", divide="ignore"):
        return float(samples**6 / (np.float64(lambda_zero) ** 4 * failure**3))


def deep_width(samples: int, depth: int, lambda_zero: float, failure: float) -> float:
    """The width required by the deep theorem: 2^H max(n⁴/λ0⁴, n/δ, n² log(Hn/δ)/λ0²), constants taken as 1.

    Args:
        samples: n.
        depth: H.
        lambda_zero: λ_min of Du's K^(H), > 0.
        failure: δ in (0, 1).

    Returns:
        m, not rounded to an integer; 2^O(H) is taken as 2^H; inf where float64 does not hold it.

    Source: Du et al. 2018, arXiv:1811.03804, the theorem for fully connected networks.

    >>> deep_width(2, 1, 0.5, 0.5)
    512.0
    """
    least = np.float64(lambda_zero)
    with np.errstate(over="ignore", divide="ignore"):
        terms = (
            samples**4 / least**4,
            samples / failure,
            samples**2 * math.log(depth * samples / failure) / least**2,
        )
        return float(np.exp2(np.float64(depth)) * max(terms))


def two_layer_convergence(
    residual_norm_0: float,
    samples: int,
    width: int,
    lambda_zero: float,
    learning_rate: float,
    steps: ArrayLike,
    *,
    failure: float = 0.1,
) -> Bound:
    """‖u(k) − y‖² ≤ (1 − ηλ0/2)^k ‖u(0) − y‖², returned as a bound on the norm itself.

    Args:
        residual_norm_0: ‖u(0) − y‖₂.
        samples: n.
        width: m.
        lambda_zero: λ0 = λ_min(H^∞).
        learning_rate: η.
        steps: k, shape (steps,).
        failure: δ, probability that the theorem fails.

    Returns:
        Bound on ‖u(k) − y‖ per step, with the conditions on m and η.

    Source: Du et al. 2018, arXiv:1810.02054, the convergence theorem of gradient descent.

    >>> two_layer_convergence(1.0, 2, 10000, 0.5, 0.1, [0, 2], failure=0.5).value
    array([1.   , 0.975])
    """
    conditions = (
        at_least("m against n⁶/(λ0⁴δ³), constant 1", width, two_layer_width(samples, lambda_zero, failure)),
        at_most("η against λ0/n², constant 1", learning_rate, lambda_zero / samples**2),
    )
    factor = 1.0 - learning_rate * lambda_zero / 2.0
    return Bound(residual_norm_0 * factor ** (np.asarray(steps, dtype=np.float64) / 2.0), conditions)


def deep_convergence(
    loss_0: float,
    samples: int,
    width: int,
    depth: int,
    lambda_zero: float,
    learning_rate: float,
    steps: ArrayLike,
    *,
    failure: float = 0.1,
) -> Bound:
    """loss(k) ≤ (1 − ηλ0/2)^k loss(0), λ0 = λ_min of Du's K^(H).

    Args:
        loss_0: ½‖u(0) − y‖².
        samples: n.
        width: m.
        depth: H.
        lambda_zero: λ0, see `infinite_width.du`.
        learning_rate: η.
        steps: k, shape (steps,).
        failure: δ.

    Returns:
        Bound on the loss per step, with the conditions on m and η.

    Source: Du et al. 2018, arXiv:1811.03804, the theorem for fully connected networks.

    >>> deep_convergence(1.0, 2, 10**6, 1, 0.5, 0.01, [0, 1], failure=0.5).value
    array([1.    , 0.9975])
    """
    wanted = deep_width(samples, depth, lambda_zero, failure)
    conditions = (
        at_least("m against 2^H max(n⁴/λ0⁴, …), constants 1", width, wanted),
        at_most("η against λ0/(n² 2^H), constants 1", learning_rate, lambda_zero / (samples**2 * 2.0**depth)),
    )
    factor = 1.0 - learning_rate * lambda_zero / 2.0
    return Bound(loss_0 * factor ** np.asarray(steps, dtype=np.float64), conditions)


def neuron_drift(
    residual_norm_0: float, samples: int, width: int, lambda_zero: float, *, failure: float = 0.1
) -> Bound:
    """‖w_r(k) − w_r(0)‖ ≤ 4√n ‖u(0) − y‖/(√m λ0) for every neuron and step: the m^−½ law.

    Args:
        residual_norm_0: ‖u(0) − y‖₂.
        samples: n.
        width: m.
        lambda_zero: λ0 = λ_min(H^∞) > 0.
        failure: δ.

    Returns:
        The bound, with the theorem's condition on m.

    Source: Du et al. 2018, arXiv:1810.02054, the corollary to the induction hypothesis.

    >>> neuron_drift(1.0, 4, 100, 0.5).value
    array(1.6)
    """
    value = 4.0 * math.sqrt(samples) * residual_norm_0 / (math.sqrt(width) * lambda_zero)
    wanted = two_layer_width(samples, lambda_zero, failure)
    return Bound(np.asarray(value), (at_least("m against n⁶/(λ0⁴δ³), constant 1", width, wanted),))


def least_eigenvalue_at_start(samples: int, width: int, lambda_zero: float, *, failure: float = 0.1) -> Bound:
    """λ_min(H(0)) ≥ λ0 − n√(log(2n²/δ)/(2m)) with probability 1 − δ, no hidden constant.

    H_ij is a mean of m independent terms in an interval of length |x_i·x_j| ≤ 1; Hoeffding for each of the n²
    entries, and ‖·‖₂ ≤ ‖·‖_F. Du's ¾λ0 is the condition that the subtraction is at most λ0/4.

    Args:
        samples: n, inputs of unit norm.
        width: m.
        lambda_zero: λ0 = λ_min(H^∞).
        failure: δ.

    Returns:
        Lower bound on λ_min(H(0)) for two-layer ReLU with W trained; `holds`: whether it is at least ¾λ0.

    Source: Du et al. 2018, arXiv:1810.02054, the lemma on H(0), with the constants worked out here.

    >>> round(float(least_eigenvalue_at_start(4, 10**6, 0.2).value), 4)
    0.1932
    """
    loss = samples * math.sqrt(math.log(2.0 * samples**2 / failure) / (2.0 * width))
    condition = at_most("‖H(0) − H^∞‖ against λ0/4", loss, lambda_zero / 4.0)
    return Bound(np.asarray(lambda_zero - loss), (condition,))


def kernel_drift(samples: int, neuron_movement: float, *, lambda_zero: float, failure: float = 0.1) -> Bound:
    """‖H(k) − H(0)‖₂ ≤ 4n²R/(√(2π) δ) with probability 1 − δ while every neuron moves at most R.

    A sign flips only if |w_r(0)·x_i| ≤ R, probability at most 2R/√(2π); then Markov's inequality.

    Args:
        samples: n, inputs of unit norm.
        neuron_movement: R = max_r ‖w_r(k) − w_r(0)‖.
        lambda_zero: λ0 = λ_min(H^∞).
        failure: δ.

    Returns:
        The bound for two-layer ReLU; `holds`: whether it is at most λ0/4, so that ½λ0 is left.

    Source: Du et al. 2018, arXiv:1810.02054, the lemma on stability of H.

    >>> round(float(kernel_drift(2, 0.001, lambda_zero=0.5, failure=0.5).value), 5)
    0.01277
    """
    value = 4.0 * samples**2 * neuron_movement / (math.sqrt(2.0 * math.pi) * failure)
    return Bound(np.asarray(value), (at_most("‖H(k) − H(0)‖ against λ0/4", value, lambda_zero / 4.0),))
