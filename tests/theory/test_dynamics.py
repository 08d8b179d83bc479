"""Linearised training against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory.references import skewed_points, z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import ERF
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.linearised.dynamics import (
    critical_learning_rate,
    mean_residual_norm,
    mode_factors,
    rate_per_step,
    residual_norm,
)

GRAM = skewed_points() @ skewed_points().T
KERNELS = fully_connected_kernels(GRAM, 2, ERF, weight_variance=1.4, bias_variance=0.1)
NTK = KERNELS.ntk()
TARGETS = np.array([0.3, -1.2, 0.8, 2.0, -0.1, 0.4, 0.9])


@pytest.mark.parametrize("fraction", [0.1, 0.6, 0.99])
def test_any_step_is_what_a_loop_reaches(fraction: float) -> None:
    """‖(I − ηΘ)^k r‖ by modes equals the loop r ← r − ηΘr, where ηλ > 1 for some modes too."""
    rate = fraction * critical_learning_rate(float(np.linalg.eigvalsh(NTK)[-1]))
    residual, norms = TARGETS.copy(), [np.linalg.norm(TARGETS)]
    for _ in range(200):
        residual = residual - rate * NTK @ residual
        norms.append(np.linalg.norm(residual))
    assert np.allclose(residual_norm(NTK, TARGETS, rate, np.arange(201)), norms, rtol=EXACT)


def test_above_the_critical_rate_the_residual_grows() -> None:
    """2/λ_max separates decay from growth, and overflow is inf, not an error."""
    critical = critical_learning_rate(float(np.linalg.eigvalsh(NTK)[-1]))
    steps = np.array([0, 2000, 10**7])
    assert residual_norm(NTK, TARGETS, 0.999 * critical, steps)[1] < np.linalg.norm(TARGETS)
    above = residual_norm(NTK, TARGETS, 1.01 * critical, steps)
    assert above[1] > 1e3
    assert above[2] == np.inf


def test_small_rates_keep_their_digits() -> None:
    """−log(1 − ηλ) at ηλ = 1e-14 is 1e-14, not the rounding of 1 − 1e-14."""
    assert rate_per_step(1e-7, 1e-7) == pytest.approx(1e-14, rel=1e-12)
    assert rate_per_step(1.0, 3.0) == pytest.approx(-np.log(2.0))


def test_factors_alternate_where_one_step_overshoots() -> None:
    """(1 − ηλ)^k keeps its sign and is 1 at k = 0 even where the factor is 0."""
    eigenvalues = np.array([0.0, 0.3, 2.0, 3.1])
    expected = (1 - 0.5 * eigenvalues) ** np.arange(4)[:, None]
    assert np.allclose(mode_factors(eigenvalues, 0.5, np.arange(4)), expected, rtol=EXACT, atol=1e-300)


def test_the_mean_over_initial_outputs_is_that_of_draws() -> None:
    """Residuals of 4000 draws f₀ ~ N(0, K) have this root mean square; ignoring K would be seen."""
    rate, steps = 0.05, [0, 7, 60]
    draws = np.random.default_rng(11).multivariate_normal(np.zeros(7), KERNELS.nngp, size=4000)
    squared = []
    for step in steps:
        power = np.linalg.matrix_power(np.eye(7) - rate * NTK, step)
        squared.append(np.square((draws - TARGETS) @ power).sum(axis=1))
    samples = np.stack(squared, axis=1)
    predicted = mean_residual_norm(NTK, KERNELS.nngp, TARGETS, rate, steps)
    assert np.abs(z_scores(samples, predicted**2)).max() < MONTE_CARLO_SE
    without = mean_residual_norm(NTK, np.zeros_like(NTK), TARGETS, rate, steps)
    assert np.abs(z_scores(samples, without**2)).max() > MONTE_CARLO_SE


def test_several_outputs_share_the_kernel() -> None:
    """(n, outputs) residuals give the Frobenius norm."""
    both = np.stack([TARGETS, TARGETS[::-1]], axis=1)
    joint = residual_norm(NTK, both, 0.1, [5])
    single = [residual_norm(NTK, both[:, j], 0.1, [5])[0] for j in range(2)]
    assert joint[0] == pytest.approx(np.hypot(*single), rel=EXACT)
    mean = mean_residual_norm(NTK, KERNELS.nngp, both, 0.1, [5])
    means = [mean_residual_norm(NTK, KERNELS.nngp, both[:, j], 0.1, [5])[0] for j in range(2)]
    assert mean[0] == pytest.approx(np.hypot(*means), rel=EXACT)
