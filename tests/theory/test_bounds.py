"""Bounds hold where their conditions do, in simulations, and say when they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.theory.references import skewed_points
from tests.tolerances import EXACT
from widesweep.theory.bounds.du_bounds import (
    deep_convergence,
    deep_width,
    kernel_drift,
    least_eigenvalue_at_start,
    neuron_drift,
    two_layer_convergence,
    two_layer_width,
)
from widesweep.theory.bounds.inequalities import (
    generalization_measure,
    gradient_flow_drift,
    gradient_flow_loss,
)
from widesweep.theory.bounds.low_rank import (
    LowRankProblem,
    linearized_residual,
    network_drift,
    network_residual,
)
from widesweep.theory.infinite_width.two_layer import hidden_weights_kernel
from widesweep.theory.linearised.dynamics import residual_norm
from widesweep.theory.linearised.subspaces import split_spectrum

X = skewed_points(6, 5)
H = hidden_weights_kernel(X @ X.T)
LAMBDA = float(np.linalg.eigvalsh(H)[0])
Y = np.array([0.3, -0.8, 0.5, 0.9, -0.2, 0.1])


def _train(width: int, steps: int, rate: float) -> tuple[np.ndarray, float, float, float]:
    """Train W of a two-layer ReLU: residual norms, largest neuron drift, ‖H(k)−H(0)‖, λ_min(H(0))."""
    rng = np.random.default_rng(1)
    w, a = rng.standard_normal((width, 5)), rng.choice([-1.0, 1.0], width)
    start, norms = w.copy(), []

    def kernel(weights: np.ndarray) -> np.ndarray:
        on = (X @ weights.T > 0).astype(float)
        return (X @ X.T) * (on @ on.T) / width

    for _ in range(steps):
        z = X @ w.T
        residual = np.maximum(z, 0) @ a / math.sqrt(width) - Y
        norms.append(np.linalg.norm(residual))
        w = w - rate * ((residual[:, None] * (z > 0)).T @ X) * a[:, None] / math.sqrt(width)
    moved = float(np.linalg.norm(w - start, axis=1).max())
    changed = float(np.linalg.norm(kernel(w) - kernel(start), 2))
    return np.array(norms), moved, changed, float(np.linalg.eigvalsh(kernel(start))[0])


def test_a_wide_network_respects_every_two_layer_bound() -> None:
    """Width 6,000: convergence, neuron drift, H at the start and its drift; none is vacuous by a sign."""
    norms, moved, changed, least = _train(6_000, 200, 0.5)
    bound = two_layer_convergence(float(norms[0]), 6, 6_000, LAMBDA, 0.5, np.arange(200))
    assert (norms <= bound.value * (1 + 1e-12)).all()
    assert not bound.holds  # Du's width is far beyond: the bound holds here without being promised
    assert moved <= float(neuron_drift(float(norms[0]), 6, 6_000, LAMBDA).value)
    start = least_eigenvalue_at_start(6, 6_000, LAMBDA)
    assert float(start.value) <= least
    assert changed <= float(kernel_drift(6, moved, lambda_zero=LAMBDA).value)


def test_a_residual_that_decays_too_slowly_would_break_the_bound() -> None:
    """Negative control: half the rate of Du's half rate is above the bound."""
    steps = np.arange(400)
    bound = two_layer_convergence(1.0, 6, 10, LAMBDA, 0.5, steps)
    slow = (1 - 0.5 * LAMBDA / 8) ** steps
    assert (slow[1:] > bound.value[1:]).all()


def test_conditions_change_sides_at_the_stated_width_and_rate() -> None:
    """m = n⁶/(λ0⁴δ³) and η = λ0/n² are the edges; so for the deep theorem with its 2^H."""
    width = math.ceil(two_layer_width(3, 0.4, 0.2))
    assert two_layer_convergence(1.0, 3, width, 0.4, 0.4 / 9, [1], failure=0.2).holds
    assert not two_layer_convergence(1.0, 3, width - 1, 0.4, 0.4 / 9, [1], failure=0.2).holds
    assert not two_layer_convergence(1.0, 3, width, 0.4, 0.4 / 8.9, [1], failure=0.2).holds
    deep = math.ceil(deep_width(3, 2, 0.4, 0.2))
    assert deep_convergence(1.0, 3, deep, 2, 0.4, 0.4 / 36, [1], failure=0.2).holds
    assert not deep_convergence(1.0, 3, deep - 1, 2, 0.4, 0.4 / 36, [1], failure=0.2).holds
    assert deep_width(3, 2, 0.4, 0.2) == pytest.approx(4 * 81 / 0.4**4)
    assert deep_width(3, 2, 5.0, 1e-3) == pytest.approx(4 * 3 / 1e-3)


def test_du_squares_what_the_loss_halves() -> None:
    """The deep bound on the loss is the square of the two-layer bound on the norm, over 2."""
    norm = two_layer_convergence(3.0, 6, 10, LAMBDA, 0.5, [0, 7, 50]).value
    loss = deep_convergence(4.5, 6, 10, 1, LAMBDA, 0.5, [0, 7, 50]).value
    assert np.allclose(loss, norm**2 / 2, rtol=EXACT)


def test_least_eigenvalues_of_many_networks_stay_above_the_bound() -> None:
    """With δ = 0.1, few of 200 networks fall below; a gap five times smaller would be crossed."""
    rng = np.random.default_rng(3)
    x = X[:2]
    exact = hidden_weights_kernel(x @ x.T)
    least = float(np.linalg.eigvalsh(exact)[0])
    bound = float(least_eigenvalue_at_start(2, 100, least, failure=0.1).value)
    found = []
    for _ in range(200):
        on = (rng.standard_normal((100, 5)) @ x.T > 0).astype(float)
        found.append(float(np.linalg.eigvalsh((x @ x.T) * (on.T @ on) / 100)[0]))
    assert np.mean(np.array(found) < bound) <= 0.1
    assert (np.array(found) < least - (least - bound) / 5).any()


def test_gradient_flow_of_a_linear_model_respects_loss_and_drift() -> None:
    """Flow of f = Jθ by its modes: loss and ‖θ‖ below the bounds at all times, and close for one mode."""
    rng = np.random.default_rng(4)
    jacobian, r0 = rng.standard_normal((4, 6)), rng.standard_normal(4)
    eigenvalues, vectors = np.linalg.eigh(jacobian @ jacobian.T)
    times = np.linspace(0, 5, 40)
    modes = np.exp(-times[:, None] * eigenvalues) * (vectors.T @ r0)
    losses = 0.5 * np.square(modes).sum(axis=1)
    drift = np.linalg.norm((vectors.T @ r0 - modes) / np.sqrt(eigenvalues), axis=1)
    bound = gradient_flow_loss(float(losses[0]), float(eigenvalues[0]), times)
    assert bound.holds
    assert (losses <= bound.value * (1 + 1e-12)).all()
    limit = gradient_flow_drift(float(losses[0]), float(eigenvalues[0]), float(eigenvalues[-1]))
    assert drift.max() <= float(limit.value)
    single = gradient_flow_drift(0.5 * 9.0, 4.0, 4.0)  # one mode, λ = 4, r = 3: ‖θ‖ → 3/2
    assert float(single.value) == pytest.approx(1.5)
    assert not gradient_flow_drift(1.0, 0.0, 1.0).holds


def test_low_rank_bounds_hold_for_the_linearised_problem() -> None:
    """Residual and drift of gradient descent on f = Jθ lie below; without the nuisance part it would not."""
    rng = np.random.default_rng(6)
    jacobian = rng.standard_normal((6, 9)) * np.geomspace(2, 0.02, 6)[:, None]
    kernel, r0 = jacobian @ jacobian.T, rng.standard_normal(6)
    split = split_spectrum(kernel, 0.5)
    information, nuisance = (float(v) for v in split.norms(r0))
    norm = float(split.singular_values[0])
    problem = LowRankProblem(information, nuisance, 0.5, norm, 1.0 / norm**2)
    horizon = int(3.0 / (problem.learning_rate * 0.25))
    steps = np.arange(horizon + 1)
    norms = residual_norm(kernel, r0, problem.learning_rate, steps)
    bound = linearized_residual(problem, steps)
    assert bound.holds
    assert (norms <= bound.value * (1 + 1e-12)).all()
    assert norms[-1] > bound.value[-1] - nuisance
    s = split.singular_values
    gains = (1 - (1 - problem.learning_rate * s**2) ** horizon) / s
    drift = np.linalg.norm(gains * (split.basis.T @ r0))
    limit = network_drift(problem, 3.0, 0.0, 0.0, 0.0)
    assert drift <= float(limit.value)
    nonlinear = network_residual(problem, 3.0, 0.1, 0.0, 0.0)
    assert nonlinear.holds
    assert norms[-1] <= float(nonlinear.value)
    assert not network_residual(problem, 3.0, 0.1, 1.0, 0.0).holds


def test_true_labels_measure_less_than_shuffled_ones() -> None:
    """Labels on large eigenvalues have the smaller measure; it is √(2yᵀH⁻¹y/n) by a plain inverse."""
    y = np.linalg.eigh(H)[1][:, -1]
    shuffled = y[[1, 0, 3, 2, 5, 4]] * np.array([1, -1, 1, -1, 1, -1])
    measured = generalization_measure(H, y)
    assert measured.holds
    assert float(measured.value) == pytest.approx(math.sqrt(2 * y @ np.linalg.inv(H) @ y / 6), rel=1e-9)
    assert float(measured.value) < float(generalization_measure(H, shuffled).value)
    assert not generalization_measure(np.ones((2, 2)), [1.0, -1.0]).holds
    assert not generalization_measure(H, 5 * Y).holds
