"""One hidden layer: each kernel against sampled features."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory.references import skewed_points, z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import GELU, RELU
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.infinite_width.two_layer import (
    hidden_weights_kernel,
    multiclass_kernel,
    random_features_kernel,
)

X = skewed_points(4)


@pytest.mark.parametrize("activation", [RELU, GELU], ids=lambda a: a.name)
def test_sampled_neurons_have_these_kernels(activation: object) -> None:
    """Means over 40,000 neurons within 5 standard errors; each kernel is not the other."""
    z = np.random.default_rng(6).standard_normal((40_000, 4)) @ X.T
    features, slopes = activation.value(z), activation.derivative(z)
    products = features[:, :, None] * features[:, None, :]
    tangents = slopes[:, :, None] * slopes[:, None, :] * (X @ X.T)
    assert np.abs(z_scores(products, random_features_kernel(X @ X.T, activation))).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(tangents, hidden_weights_kernel(X @ X.T, activation))).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(products, hidden_weights_kernel(X @ X.T, activation))).max() > MONTE_CARLO_SE


def test_the_general_recursion_contains_both() -> None:
    """Depth 1 with factors 1: hidden and last parts."""
    kernels = fully_connected_kernels(
        X @ X.T, 1, GELU, weight_variance=1.0, first_weight_variance=1.0, output_weight_variance=1.0
    )
    assert np.allclose(kernels.ntk("hidden"), hidden_weights_kernel(X @ X.T, GELU), rtol=EXACT)
    assert np.allclose(kernels.ntk("last"), random_features_kernel(X @ X.T, GELU), rtol=EXACT)


def test_several_classes_repeat_the_block() -> None:
    """E[JJᵀ] of f = Vφ(Wx), three classes, k Var V = 1: I ⊗ block, by explicit Jacobians, class-major."""
    rng = np.random.default_rng(7)
    neurons, classes, draws = 50, 3, []
    for _ in range(200):
        w, v = rng.standard_normal((neurons, 4)), rng.standard_normal((classes, neurons)) / np.sqrt(neurons)
        slopes = GELU.derivative(X @ w.T)
        jacobian = np.einsum("cr,nr,ni->cnri", v, slopes, X).reshape(classes * 4, -1)
        draws.append(jacobian @ jacobian.T)
    expected = multiclass_kernel(X @ X.T, GELU, classes)
    assert np.abs(z_scores(np.stack(draws), expected)).max() < MONTE_CARLO_SE
    sample_major = np.kron(hidden_weights_kernel(X @ X.T, GELU), np.eye(classes))
    assert np.abs(z_scores(np.stack(draws), sample_major)).max() > MONTE_CARLO_SE
