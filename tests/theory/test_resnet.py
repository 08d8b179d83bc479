"""The residual network against finite ones, with and without the cross term of the skip."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.theory.references import skewed_points, z_scores
from tests.tolerances import MONTE_CARLO_SE
from widesweep.theory.activations import GELU, RELU, TANH, Activation
from widesweep.theory.infinite_width.du import activation_scale
from widesweep.theory.infinite_width.resnet import resnet_kernels

X = skewed_points(3)


def _network(
    activation: Activation, width: int, depth: int, scale: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features' products and tangent parts of one residual network, by hand."""
    rng = np.random.default_rng(seed)
    features, slopes, weights = [X], [], []
    for h in range(depth):
        w = rng.standard_normal((width, features[-1].shape[1]))
        z = features[-1] @ w.T
        first = math.sqrt(activation_scale(activation) / width)
        factor = first if h == 0 else scale / (depth * math.sqrt(width))
        branch = factor * activation.value(z)
        weights.append(w)
        slopes.append(factor * activation.derivative(z))
        features.append(branch if h == 0 else features[-1] + branch)
    back = np.tile(rng.standard_normal(width), (3, 1))
    parts = [features[-1] @ features[-1].T]
    for h in range(depth - 1, -1, -1):
        through = back * slopes[h]
        parts.append((features[h] @ features[h].T) * (through @ through.T))
        back = back + through @ weights[h] if h else back
    return features[-1] @ features[-1].T, np.stack(parts[::-1])


@pytest.mark.parametrize("activation", [RELU, GELU, TANH], ids=lambda a: a.name)
def test_wide_residual_networks_have_these_kernels(activation: Activation) -> None:
    """Features and every tangent part of 120 networks of width 300 within 5 standard errors."""
    draws = [_network(activation, 300, 3, 1.5, seed) for seed in range(120)]
    kernels = resnet_kernels(X @ X.T, 3, activation, residual_scale=1.5)
    assert np.abs(z_scores(np.stack([d[0] for d in draws]), kernels.nngp)).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(np.stack([d[1] for d in draws]), kernels.layer_ntk)).max() < MONTE_CARLO_SE


def test_the_cross_term_of_the_skip_matters() -> None:
    """Negative control: for ReLU, features without E[σ] ≠ 0 are missed by over 5 standard errors."""
    draws = np.stack([_network(RELU, 300, 2, 1.0, seed)[0] for seed in range(60)])
    kernels = resnet_kernels(X @ X.T, 2, RELU, residual_scale=1.0)
    ignoring = kernels.hidden_nngp[1] + 0.25 * kernels.hidden_nngp[2].max() * 0.5
    assert np.abs(z_scores(draws, kernels.nngp)).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(draws, ignoring)).min() > MONTE_CARLO_SE


def test_depth_and_scale_are_checked() -> None:
    """No hidden layer, no skip."""
    with pytest.raises(ValueError, match="depth 0"):
        resnet_kernels(np.eye(2), 0, RELU)
