"""Outputs on new points against a loop over parameters and a linear solve."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory.references import skewed_points
from tests.tolerances import EXACT
from widesweep.theory.activations import GELU
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.linearised.prediction import kernel_regression, output_trajectory

RNG = np.random.default_rng(21)
JACOBIAN, CROSS = RNG.standard_normal((6, 9)), RNG.standard_normal((4, 9))
Y, F0, F0_CROSS = RNG.standard_normal(6), RNG.standard_normal(6), RNG.standard_normal(4)


def test_outputs_are_those_of_the_linear_model_trained_by_a_loop() -> None:
    """Gradient descent on θ itself, f = f(0) + J(θ − θ(0)), gives the same outputs on both sets."""
    ntk, cross = JACOBIAN @ JACOBIAN.T, CROSS @ JACOBIAN.T
    rate = 1.7 / np.linalg.eigvalsh(ntk)[-1]
    theta, expected, steps = np.zeros(9), [], [0, 1, 5, 60]
    for k in range(61):
        if k in steps:
            expected.append(F0_CROSS + CROSS @ theta)
        theta = theta - rate * JACOBIAN.T @ (F0 + JACOBIAN @ theta - Y)
    found = output_trajectory(ntk, cross, Y, rate, steps, output_0=F0, cross_output_0=F0_CROSS)
    assert np.allclose(found, expected, rtol=0, atol=EXACT)


def test_the_end_of_training_is_kernel_regression() -> None:
    """k → ∞ from f(0) = 0 equals Θ_* Θ⁻¹ y by a plain solve, for a kernel of real points."""
    x = skewed_points(9)
    ntk = fully_connected_kernels(x @ x.T, 2, GELU, weight_variance=1.8, bias_variance=0.1).ntk()
    train, cross, y = ntk[:6, :6], ntk[6:, :6], np.array([0.2, -1.0, 0.4, 1.3, -0.7, 0.1])
    solved = cross @ np.linalg.solve(train, y)
    assert np.allclose(kernel_regression(train, cross, y), solved, rtol=1e-7)
    end = output_trajectory(train, cross, y, 1.0 / np.linalg.eigvalsh(train)[-1], [10**9])
    assert np.allclose(end[0], solved, rtol=1e-6)
    ridge = cross @ np.linalg.solve(train + 0.3 * np.eye(6), y)
    assert np.allclose(kernel_regression(train, cross, y, ridge=0.3), ridge, rtol=EXACT)


def test_a_mode_without_eigenvalue_moves_linearly_at_first_and_never_explodes() -> None:
    """Θ with λ = 0: the gain is ηk, times a cross-kernel that has no part there."""
    ntk = np.diag([1.0, 0.0])
    found = output_trajectory(ntk, ntk, [1.0, 1.0], 0.5, [0, 1, 1000])
    assert np.allclose(found, [[0, 0], [0.5, 0], [1, 0]], atol=EXACT)


def test_several_outputs_go_together() -> None:
    """(n, outputs) targets give (steps, t, outputs), column by column."""
    ntk, cross = JACOBIAN @ JACOBIAN.T, CROSS @ JACOBIAN.T
    both = np.stack([Y, Y[::-1]], axis=1)
    joint = output_trajectory(ntk, cross, both, 0.01, [3, 9])
    assert joint.shape == (2, 4, 2)
    assert np.allclose(joint[:, :, 1], output_trajectory(ntk, cross, Y[::-1], 0.01, [3, 9]), rtol=EXACT)
    assert np.allclose(kernel_regression(ntk, cross, both)[:, 0], kernel_regression(ntk, cross, Y), rtol=1e-8)


def test_a_negative_ridge_is_refused() -> None:
    """It would not be a regression."""
    with pytest.raises(ValueError, match="ridge"):
        kernel_regression(np.eye(2), np.eye(2), [1.0, 2.0], ridge=-1.0)
