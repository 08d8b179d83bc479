"""The recursions by depth against known limits, a closed form, and networks drawn without weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import ERF, LINEAR, RELU, TANH
from widesweep.theory.infinite_width.depth import finite_width_means, kernel_by_depth
from widesweep.theory.infinite_width.kernels import fully_connected_kernels


@pytest.mark.parametrize("activation", [RELU, TANH, ERF])
def test_the_kernel_by_depth_is_the_diagonal_of_the_kernel(activation: object) -> None:
    """K of every layer agrees with the general recursion; D with a difference quotient of its correlation."""
    angle = 1e-2
    gram = np.array([[1.0, np.cos(angle)], [np.cos(angle), 1.0]])
    whole = fully_connected_kernels(gram, 5, activation, weight_variance=1.3, bias_variance=0.2)  # type: ignore[arg-type]
    found = kernel_by_depth(5, activation, weight_variance=1.3, bias_variance=0.2)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.kernel, whole.hidden_nngp[:, 0, 0], rtol=EXACT)
    distance = whole.hidden_nngp[:, 0, 0] - whole.hidden_nngp[:, 0, 1]  # K − K(x, x') ≈ D angle²/2
    slack = 3 * angle if activation is RELU else 1e-3  # a kink bends the kernel by |angle|³
    np.testing.assert_allclose(2 * distance / angle**2, found.derivative, rtol=slack)


def test_tanh_falls_like_one_over_twice_the_depth() -> None:
    """K^(l) · 2l is within 5 % of 1 at l = 50, within 0.5 % at 1000, and not at 2 (control)."""
    layers = np.array([2, 50, 1000])
    found = kernel_by_depth(1000, TANH, weight_variance=1.0).kernel[layers - 1]
    distance = np.abs(2 * layers * found - 1.0)
    assert distance[0] > 0.1
    assert distance[1] < 0.05
    assert distance[2] < 0.005


def test_scale_invariant_kernels_stay_and_need_no_correction() -> None:
    """ReLU and linear at criticality: K = C_W at any width and depth."""
    for activation, weight in ((RELU, 2.0), (LINEAR, 1.0)):
        kernel = kernel_by_depth(9, activation, weight_variance=weight)
        np.testing.assert_allclose(kernel.kernel, weight, rtol=EXACT)
        np.testing.assert_allclose(kernel.derivative, weight, rtol=EXACT)
        means = finite_width_means(3, 9, activation, weight_variance=weight)
        assert means.kernel == pytest.approx(weight, rel=EXACT)
        assert means.derivative == pytest.approx(weight, rel=EXACT)


def tanh_means(
    width: int, depth: int, draws: int, weight: float, bias: float
) -> tuple[np.ndarray, np.ndarray]:
    """Means of Var z and Var ∂_u z given the layers below, over draws of pre-activations; standard errors."""
    random = np.random.default_rng(11)
    q, slope, cross = np.full(draws, weight + bias), np.full(draws, weight), np.zeros(draws)
    for _ in range(depth):
        g, h = random.standard_normal((2, draws, width))
        z = np.sqrt(q)[:, None] * g
        w = (cross / np.sqrt(q))[:, None] * g + np.sqrt(slope - cross**2 / q)[:, None] * h
        value, turned = np.tanh(z), w / np.cosh(z) ** 2
        q = bias + weight * np.mean(value**2, axis=1)
        slope = weight * np.mean(turned**2, axis=1)
        cross = weight * np.mean(value * turned, axis=1)
    found = np.stack([q, slope])
    return found.mean(axis=1), found.std(axis=1) / np.sqrt(draws)


@pytest.mark.parametrize(("depth", "weight", "bias", "controlled"), [(10, 1.0, 0.0, 0), (10, 1.5, 0.1, 1)])
def test_the_means_at_finite_width_have_their_corrections(
    depth: int, weight: float, bias: float, controlled: int
) -> None:
    """tanh at width 48: within 5 standard errors and 4/n² of both; a bare limit is refused (control)."""
    width, variances = 48, {"weight_variance": weight, "bias_variance": bias}
    mean, error = tanh_means(width, depth, 40_000, weight, bias)
    corrected = finite_width_means(width, depth, TANH, **variances)
    limits = kernel_by_depth(depth, TANH, **variances)
    limit = np.array([limits.kernel[-1], limits.derivative[-1]])
    slack = MONTE_CARLO_SE * error + 4 * limit / width**2
    assert (np.abs(mean - [corrected.kernel, corrected.derivative]) < slack).all()
    assert abs(mean - limit)[controlled] > slack[controlled]


def test_bad_arguments_are_named() -> None:
    """A negative depth and a width of 0."""
    with pytest.raises(ValueError, match="depth -1"):
        kernel_by_depth(-1, TANH, weight_variance=1.0)
    with pytest.raises(ValueError, match="width 0"):
        finite_width_means(0, 1, TANH, weight_variance=1.0)
