"""Flow, Nesterov and Langevin in the linearised model against loops and draws; time by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm

from tests.theory.references import z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.linearised.dynamics import residual_norm
from widesweep.theory.linearised.optimizers import (
    gradient_flow_residual_norm,
    langevin_mean_square_residual,
    nesterov_momentum,
    nesterov_residual_norm,
    steps_to_tolerance,
)

RNG = np.random.default_rng(33)
JACOBIAN = RNG.standard_normal((5, 7)) * np.array([3.0, 1.0, 0.5, 0.3, 1.4])[:, None]
NTK, R0 = JACOBIAN @ JACOBIAN.T, RNG.standard_normal(5)
TOP = float(np.linalg.eigvalsh(NTK)[-1])


def test_flow_is_the_matrix_exponential() -> None:
    """‖e^{−Θt} r‖ by scipy's expm, and gradient descent with small steps tends to it."""
    times = [0.0, 0.03, 0.4]
    expected = [np.linalg.norm(expm(-t * NTK) @ R0) for t in times]
    assert np.allclose(gradient_flow_residual_norm(NTK, R0, times), expected, rtol=EXACT)
    assert residual_norm(NTK, R0, 1e-6, [400_000])[0] == pytest.approx(expected[2], rel=1e-4)


@pytest.mark.parametrize("share", [0.4, 1.0, 1.3])
def test_nesterov_by_modes_is_nesterov_on_parameters(share: float) -> None:
    """The loop on θ and v for f = Jθ − y gives the same residuals, where 1 − ηλ < 0 too."""
    rate, momentum = share / TOP, 0.7
    theta = look = np.zeros(7)
    norms = []
    for _ in range(61):
        norms.append(np.linalg.norm(R0 + JACOBIAN @ theta))
        after = look - rate * JACOBIAN.T @ (R0 + JACOBIAN @ look)
        theta, look = after, after + momentum * (after - theta)
    found = nesterov_residual_norm(NTK, R0, rate, momentum, np.arange(61))
    assert np.allclose(found, norms, rtol=1e-9)


def test_iterations_scale_with_the_root_of_the_condition_number_or_the_number_itself() -> None:
    """Exponents fitted over κ = 10² … 10⁵: 1 for gradient descent, ½ for Nesterov, within 0.05."""
    conditions = np.array([1e2, 1e3, 1e4, 1e5])
    descent, accelerated = [], []
    for condition in conditions:
        ntk = np.diag([1.0 / condition, 0.3, 1.0])
        descent.append(steps_to_tolerance(ntk, np.ones(3), 1.0, 1e-6))
        steps = np.unique(np.geomspace(1, 60 * math.sqrt(condition), 4000).astype(int))
        norms = nesterov_residual_norm(ntk, np.ones(3), 1.0, nesterov_momentum(condition), steps)
        accelerated.append(steps[np.flatnonzero(norms > 1e-6 * math.sqrt(3)).max() + 1])
    slopes = [np.polyfit(np.log(conditions), np.log(counts), 1)[0] for counts in (descent, accelerated)]
    assert slopes[0] == pytest.approx(1.0, abs=0.05)
    assert slopes[1] == pytest.approx(0.5, abs=0.05)


def test_langevin_has_this_mean_square_residual() -> None:
    """4000 noisy runs on parameters within 5 standard errors; without the noise term it is missed."""
    rng, rate, temperature = np.random.default_rng(5), 0.7 / TOP, 0.4
    theta, squared, steps = np.zeros((4000, 7)), [], [0, 3, 40]
    for k in range(41):
        residual = R0 + theta @ JACOBIAN.T
        if k in steps:
            squared.append(np.square(residual).sum(axis=1))
        noise = math.sqrt(2 * rate * temperature) * rng.standard_normal(theta.shape)
        theta = theta - rate * residual @ JACOBIAN + noise
    samples = np.stack(squared, axis=1)[:, 1:]
    found = langevin_mean_square_residual(NTK, R0, rate, temperature, steps)
    assert found[0] == pytest.approx(R0 @ R0, rel=EXACT)
    assert np.abs(z_scores(samples, found[1:])).max() < MONTE_CARLO_SE
    without = langevin_mean_square_residual(NTK, R0, rate, 0.0, steps)
    assert np.abs(z_scores(samples, without[1:])).max() > MONTE_CARLO_SE
    with pytest.raises(ValueError, match="≥ 2"):
        langevin_mean_square_residual(NTK, R0, 2.1 / TOP, 0.1, [1])


@pytest.mark.parametrize("tolerance", [0.5, 1e-2, 1e-6])
def test_time_to_tolerance_is_the_first_step_below(tolerance: float) -> None:
    """One step before, the residual is above."""
    k = steps_to_tolerance(NTK, R0, 1.0 / TOP, tolerance)
    before, at = residual_norm(NTK, R0, 1.0 / TOP, [k - 1, k]) / np.linalg.norm(R0)
    assert at <= tolerance < before


def test_what_never_arrives_takes_for_ever() -> None:
    """A zero eigenvalue with labels on it, or η above 2/λ_max: inf, never a number from rounding."""
    singular = np.outer([1.0, 2.0], [1.0, 2.0]) * (1 + 1e-16)
    assert steps_to_tolerance(singular, [1.0, 0.0], 0.1, 1e-3) == math.inf
    assert steps_to_tolerance(NTK, R0, 2.1 / TOP, 0.1) == math.inf


def test_steps_of_several_outputs_are_those_of_their_norm_together() -> None:
    """Whole steps: at k the norm of two outputs is below the tolerance, one step before it is not."""
    both = np.stack([R0, R0[::-1] ** 3], axis=1)
    k = steps_to_tolerance(NTK, both, 0.5 / TOP, 1e-3)
    before, at = residual_norm(NTK, both, 0.5 / TOP, [k - 1, k]) / np.linalg.norm(both)
    assert at <= 1e-3 < before
