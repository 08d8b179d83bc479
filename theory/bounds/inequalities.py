"""Inequalities that a run in its regime must respect, each with the conditions it needs.

A `Bound` has its value and the `Condition`s of its theorem; `holds` says whether all are met. Where a
theorem gives a condition up to a constant (Ω, O), the constant is taken as 1 and the condition's name says
so: one that fails by orders of magnitude says that the theorem is silent, not that it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.arrays import Array
from widesweep.theory.spectrum import eigenvalues_with_error


@dataclass(frozen=True)
class Condition:
    """One requirement of a theorem.

    Args:
        name: the requirement in words, constants included.
        found: the run's number.
        wanted: the number it is compared with.
        holds: whether it is met.
    """

    name: str
    found: float
    wanted: float
    holds: bool


@dataclass(frozen=True)
class Bound:
    """The right-hand side of an inequality.

    Args:
        value: the bound, a number or one per step.
        conditions: what the theorem asks.
    """

    value: Array
    conditions: tuple[Condition, ...]

    @property
    def holds(self) -> bool:
        """Whether every condition is met, so that the inequality is promised."""
        return all(condition.holds for condition in self.conditions)


def at_least(name: str, found: float, wanted: float) -> Condition:
    """The condition found ≥ wanted.

    Args:
        name: in words.
        found: the run's number.
        wanted: the least that is allowed.

    Returns:
        The condition.

    >>> at_least("width", 10.0, 20.0).holds
    False
    """
    return Condition(name, float(found), float(wanted), bool(found >= wanted))


def at_most(name: str, found: float, wanted: float) -> Condition:
    """The condition found ≤ wanted.

    Args:
        name: in words.
        found: the run's number.
        wanted: the most that is allowed.

    Returns:
        The condition.

    >>> at_most("learning rate", 0.1, 0.2).holds
    True
    """
    return Condition(name, float(found), float(wanted), bool(found <= wanted))


def gradient_flow_loss(loss_0: float, lambda_min: float, flow_time: ArrayLike) -> Bound:
    """R(t) ≤ R(0) e^{−2λt} under gradient flow, λ the least eigenvalue of the tangent kernel over the path.

    Args:
        loss_0: R(0) = ½‖αf − y‖².
        lambda_min: λ over the path, of the kernel that moves the outputs (α²JJᵀ for the model αf).
        flow_time: t ≥ 0, shape (times,).

    Returns:
        The bound per time; it holds where λ > 0.

    Source: Chizat, Oyallon and Bach 2019, arXiv:1812.07956, for the lazy regime; dR/dt = −rᵀΘr.

    >>> gradient_flow_loss(2.0, 0.5, [0.0, 1.0]).value.round(4)
    array([2.    , 0.7358])
    """
    times = np.asarray(flow_time, dtype=np.float64)
    return Bound(loss_0 * np.exp(-2.0 * lambda_min * times), (_positive("λ over the path", lambda_min),))


def gradient_flow_drift(loss_0: float, lambda_min: float, lambda_max: float) -> Bound:
    """‖w(t) − w(0)‖ ≤ √(2 λ_max R(0))/λ for all t under gradient flow.

    From ‖w'‖ = ‖Jᵀr‖ ≤ √λ_max ‖r‖ and ‖r(t)‖ ≤ √(2R(0)) e^{−λt}.

    Args:
        loss_0: R(0) = ½‖αf − y‖².
        lambda_min: λ, least eigenvalue of the tangent kernel over the path.
        lambda_max: largest eigenvalue over the path.

    Returns:
        The bound; it holds where λ > 0.

    Source: Chizat, Oyallon and Bach 2019, arXiv:1812.07956.

    >>> gradient_flow_drift(0.5, 0.5, 4.0).value
    array(4.)
    """
    value = math.sqrt(2.0 * lambda_max * loss_0) / lambda_min if lambda_min > 0.0 else math.inf
    return Bound(np.asarray(value), (_positive("λ over the path", lambda_min),))


def generalization_measure(kernel: ArrayLike, targets: ArrayLike) -> Bound:
    """√(2 yᵀ(H^∞)⁻¹y/n), Arora's measure: small where the labels lie on large eigenvalues.

    Up to terms of order √(log(n/λ0δ)/n) it bounds the population loss for losses with values in [0, 1].

    Args:
        kernel: H^∞, shape (n, n), symmetric.
        targets: y, shape (n,), |y_i| ≤ 1 in the theorem.

    Returns:
        The measure; it holds where λ_min lies above its rounding error and the labels are bounded by 1.

    Raises:
        ValueError: H^∞ is not symmetric.

    Source: Arora et al. 2019, arXiv:1901.08584, the generalisation theorem.

    >>> round(float(generalization_measure(np.diag([2.0, 1.0]), [1.0, 1.0]).value), 6)
    1.224745
    """
    eigenvalues, error = eigenvalues_with_error(kernel)
    y = np.asarray(targets, dtype=np.float64)
    conditions = (
        at_least("λ_min(H^∞) above its rounding error", float(eigenvalues[0]), error),
        at_most("largest |y_i|", float(np.abs(y).max()), 1.0),
    )
    if not conditions[0].holds:
        return Bound(np.asarray(math.inf), conditions)
    solved = np.linalg.solve(np.asarray(kernel, dtype=np.float64), y)
    return Bound(np.asarray(math.sqrt(2.0 * float(y @ solved) / y.size)), conditions)


def _positive(name: str, value: float) -> Condition:
    """The condition value > 0."""
    return Condition(f"{name} above 0", float(value), 0.0, bool(value > 0.0))
