"""Du's kernels against their own definition and a finite network."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.theory.references import by_angle, skewed_points, tensor_gauss_hermite, z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import ERF, RELU, TANH
from widesweep.theory.infinite_width.du import activation_scale, du_kernels


def test_relu_kernels_follow_the_definition_entry_by_entry() -> None:
    """K^(h) and the last layer's kernel from integrals over the angle."""
    x = skewed_points(4)
    kernels = du_kernels(x @ x.T, 3, RELU)
    for i, j in ((0, 1), (2, 3), (0, 3)):
        feature = float(x[i] @ x[j])
        for h in (1, 2, 3):
            value, slope = by_angle(RELU, 1.0, 1.0, feature)
            last, feature = 2.0 * feature * slope, 2.0 * value
            assert kernels.features[h, i, j] == pytest.approx(feature, rel=EXACT)
        assert kernels.last_hidden_ntk[i, j] == pytest.approx(last, rel=EXACT)


def test_a_smooth_activation_uses_its_own_scale() -> None:
    """c_σ = 1/E[σ²] keeps unit norms, by a product rule for erf."""
    x = skewed_points(3)
    kernels = du_kernels(x @ x.T, 2, ERF)
    assert np.allclose(np.diagonal(kernels.features, axis1=1, axis2=2), 1.0, rtol=EXACT)
    c = float(x[0] @ x[2])
    scale = 1.0 / tensor_gauss_hermite(ERF.value, 1.0, 1.0, 1.0 - 1e-15)
    assert activation_scale(ERF) == pytest.approx(scale, rel=1e-9)
    assert kernels.features[1, 0, 2] == pytest.approx(
        scale * tensor_gauss_hermite(ERF.value, 1, 1, c), rel=1e-9
    )


def test_a_wide_network_of_du_has_the_last_layers_kernel() -> None:
    """G^(H) of 100 networks of width 200 within 5 standard errors; K^(H) of the features is not it."""
    x, width, draws = skewed_points(3), 200, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        feature, scale = x, math.sqrt(activation_scale(TANH) / width)
        for _ in range(2):
            w = rng.standard_normal((width, feature.shape[1]))
            before, z = feature, feature @ w.T
            feature = scale * TANH.value(z)
        back = scale * rng.standard_normal(width) * TANH.derivative(z)
        draws.append((before @ before.T) * (back @ back.T))
    kernels = du_kernels(x @ x.T, 2, TANH)
    assert np.abs(z_scores(np.stack(draws), kernels.last_hidden_ntk)).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(np.stack(draws), kernels.features[-1])).max() > MONTE_CARLO_SE


def test_lambda_zero_is_reported_with_its_error() -> None:
    """Two equal points leave λ0 within its error of 0."""
    x = skewed_points(4)
    good, error = du_kernels(x @ x.T, 2, RELU).lambda_zero()
    assert good > 1e6 * error
    gram = (x @ x.T)[np.ix_([0, 1, 1], [0, 1, 1])]
    gram[gram > 1 - 1e-12] = 1.0
    least, error = du_kernels(gram, 2, RELU).lambda_zero()
    assert abs(least) <= error
