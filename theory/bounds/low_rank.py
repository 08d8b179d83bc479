"""The low-rank Jacobian's three bounds: residual of the linearised problem, of the network, and its drift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.bounds.inequalities import Bound, Condition, at_least, at_most


@dataclass(frozen=True)
class LowRankProblem:
    """What the three bounds share.

    Args:
        information: ‖Π_I r(0)‖₂ at the cut-off α.
        nuisance: ‖Π_N r(0)‖₂.
        cutoff: α, on singular values of the reference Jacobian.
        norm: β ≥ ‖J‖₂ over the path.
        learning_rate: η.
    """

    information: float
    nuisance: float
    cutoff: float
    norm: float
    learning_rate: float

    @property
    def residual(self) -> float:
        """‖r(0)‖₂."""
        return math.hypot(self.information, self.nuisance)

    def step_size_condition(self) -> Condition:
        """η ≤ 1/β².

        Returns:
            The condition.

        >>> LowRankProblem(1.0, 0.5, 0.3, 2.0, 0.1).step_size_condition().holds
        True
        """
        return at_most("η against 1/β²", self.learning_rate, 1.0 / self.norm**2)


def linearized_residual(problem: LowRankProblem, steps: ArrayLike) -> Bound:
    """‖r̃(k)‖ ≤ (1 − ηα²)^k ‖Π_I r(0)‖ + ‖Π_N r(0)‖ for the linearised problem.

    Args:
        problem: norms, cut-off, η.
        steps: k, shape (steps,).

    Returns:
        The bound per step; η ≤ 1/β² is its condition.

    Source: Oymak et al. 2019, arXiv:1906.05392, the linear case of the meta-theorem.

    >>> linearized_residual(LowRankProblem(1.0, 0.5, 1.0, 1.0, 0.5), [0, 1]).value
    array([1.5, 1. ])
    """
    shrink = 1.0 - problem.learning_rate * problem.cutoff**2
    value = shrink ** np.asarray(steps, dtype=np.float64) * problem.information + problem.nuisance
    return Bound(np.asarray(value), (problem.step_size_condition(),))


def network_residual(
    problem: LowRankProblem, stopping: float, tolerance: float, jacobian_change: float, reference_error: float
) -> Bound:
    """‖r(T)‖ ≤ e^{−Γ}‖Π_I r(0)‖ + ‖Π_N r(0)‖ + (δα/β)‖r(0)‖ at T = Γ/(ηα²).

    Args:
        problem: norms, cut-off, β, η.
        stopping: Γ ≥ 1.
        tolerance: δ in (0, 1].
        jacobian_change: ε with ‖J(θ) − J(θ_0)‖ ≤ ε/2 on the ball of radius R, see `network_drift`.
        reference_error: ε_0, how far the reference Jacobian is from J(θ_0); 0 if it is J(θ_0).

    Returns:
        The bound with the theorem's conditions: ε ≤ δα³/(5Γβ²), ε_0 ≤ min(δα, √(δα³/(Γβ)))/5, η ≤ 1/β², Γ
        ≥ 1.

    Source: Oymak et al. 2019, arXiv:1906.05392, the meta-theorem.

    >>> round(float(network_residual(LowRankProblem(1.0, 0.5, 1.0, 2.0, 0.1), 2.0, 0.1, 1e-3, 0.0).value), 4)
    0.6912
    """
    alpha, beta = problem.cutoff, problem.norm
    value = math.exp(-stopping) * problem.information + problem.nuisance
    value += tolerance * alpha / beta * problem.residual
    return Bound(
        np.asarray(value), _conditions(problem, stopping, tolerance, jacobian_change, reference_error)
    )


def network_drift(
    problem: LowRankProblem, stopping: float, tolerance: float, jacobian_change: float, reference_error: float
) -> Bound:
    """‖θ(k) − θ(0)‖ ≤ (‖Π_I r(0)‖ + Γ‖Π_N r(0)‖ + δΓ‖r(0)‖)/α for k ≤ T = Γ/(ηα²).

    The first two terms bound the linearised drift: (1 − (1 − ηλ²)^k)/λ ≤ min(1/λ, kηλ). The third is the
    distance of the two paths. The theorem's radius R is twice this, with ‖J_I⁺r(0)‖ ≤ ‖Π_I r(0)‖/α.

    Args:
        problem: norms, cut-off, β, η.
        stopping: Γ ≥ 1.
        tolerance: δ in (0, 1]; 0 gives the bound of the linearised problem.
        jacobian_change: ε, as in `network_residual`.
        reference_error: ε_0, as there.

    Returns:
        The bound with the conditions of `network_residual`.

    Source: Oymak et al. 2019, arXiv:1906.05392, the meta-theorem.

    >>> network_drift(LowRankProblem(1.0, 0.0, 0.5, 2.0, 0.1), 2.0, 0.1, 1e-4, 0.0).value
    array(2.4)
    """
    total = problem.information + stopping * problem.nuisance + tolerance * stopping * problem.residual
    return Bound(
        np.asarray(total / problem.cutoff),
        _conditions(problem, stopping, tolerance, jacobian_change, reference_error),
    )


def _conditions(
    problem: LowRankProblem, stopping: float, tolerance: float, change: float, reference: float
) -> tuple[Condition, ...]:
    """The requirements of the meta-theorem."""
    alpha, beta = problem.cutoff, problem.norm
    allowed = tolerance * alpha**3 / (5.0 * stopping * beta**2)
    allowed_reference = min(tolerance * alpha, math.sqrt(tolerance * alpha**3 / (stopping * beta))) / 5.0
    return (
        problem.step_size_condition(),
        at_least("Γ against 1", stopping, 1.0),
        at_most("ε against δα³/(5Γβ²)", change, allowed),
        at_most("ε_0 against min(δα, √(δα³/(Γβ)))/5", reference, allowed_reference),
    )
