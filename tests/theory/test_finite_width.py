"""Squared outputs, gradients and the tangent kernel of finite networks against real ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory.references import tangent_and_gradient, z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import LINEAR, RELU, TANH, Activation, leaky
from widesweep.theory.finite_width.fluctuations import (
    gradient_moments,
    gradient_variance,
    leading_squared_output_covariance,
    ntk_mean,
    ntk_second_moment,
    squared_output_covariance,
)


def _without_overlap(width: int, depth: int, ratio: float) -> float:
    """The sum with (1 + (ρ − 1)/n)^|i−j| alone: norms through shared weights taken as independent."""
    layers = range(depth + 1)
    terms = [
        (1 + (3 * ratio - 1) / width) ** (depth - abs(i - j)) * (1 + (ratio - 1) / width) ** abs(i - j)
        for i in layers
        for j in layers
    ]
    return sum(terms) / (depth + 1) ** 2


@pytest.mark.parametrize(
    ("activation", "widths"), [(RELU, [8] * 3), (LINEAR, [4] * 6), (leaky(0.3, 1.0), [9, 5, 12])], ids=str
)
def test_the_tangent_kernel_has_this_mean_and_second_moment(
    activation: Activation, widths: list[int]
) -> None:
    """Θ of 60,000 real networks: mean and second moment within 5 standard errors of the exact values."""
    theta, _ = tangent_and_gradient(widths, activation, 60_000, seed=8)
    mean = ntk_mean(len(widths), activation, weight_variance=2.0 / sum(s**2 for s in activation.slopes))
    found = np.stack([theta / mean, (theta / mean) ** 2], axis=1)
    assert (
        np.abs(z_scores(found, np.array([1.0, ntk_second_moment(widths, activation)]))).max() < MONTE_CARLO_SE
    )


def test_leaving_out_the_shared_weights_is_seen() -> None:
    """Negative control: without the overlap of both norms the second moment misses by over 5 SE."""
    theta, _ = tangent_and_gradient([2, 2], LINEAR, 400_000, seed=8)
    ratio = ((theta / ntk_mean(2, LINEAR, weight_variance=1.0)) ** 2)[:, None]
    assert np.abs(z_scores(ratio, np.array([ntk_second_moment([2, 2], LINEAR)]))).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(ratio, np.array([_without_overlap(2, 2, 1.0)]))).max() > MONTE_CARLO_SE


def test_one_hidden_layer_needs_no_overlap_and_depth_has_slope_eleven_thirds() -> None:
    """d = 1 is the simple product; the slope in d/n tends to 11/3; exp(5d/n) is no equality."""
    assert ntk_second_moment([17], RELU) == pytest.approx(_without_overlap(17, 1, 2.0), rel=EXACT)
    depth, width = 600, 10**9
    slope = (ntk_second_moment([width] * depth, RELU) - 1) * width / depth
    assert slope == pytest.approx(11 / 3, rel=5e-3)
    assert abs(slope - 5) > 1


@pytest.mark.parametrize(("activation", "widths"), [(RELU, [8, 6, 10]), (leaky(0.3, 1.0), [7, 9])], ids=str)
def test_gradients_with_respect_to_the_input_have_these_moments(
    activation: Activation, widths: list[int]
) -> None:
    """‖∂z/∂x‖² of 60,000 networks, three inputs: two moments; a missing χ²_d/d is seen."""
    _, gradient = tangent_and_gradient(widths, activation, 60_000, seed=9)
    weight = 2.0 / sum(s**2 for s in activation.slopes)
    scaled = gradient / (3 * weight)
    expected = gradient_moments(widths, 3, activation, 2)
    assert (
        np.abs(z_scores(np.stack([scaled, scaled**2], axis=1), np.array(expected[1:]))).max() < MONTE_CARLO_SE
    )
    without = expected[2] / (1 + 2 / 3)
    assert np.abs(z_scores((scaled**2)[:, None], np.array([without]))).max() > MONTE_CARLO_SE
    assert gradient_variance(widths, 3, activation) == pytest.approx(expected[2] - 1, rel=EXACT)


def test_squared_outputs_covary_as_the_conditional_variance_varies() -> None:
    """Cov(z₁², z₂²)/K² of 200,000 networks of widths 10 and 7; independent outputs would give 0."""
    rng = np.random.default_rng(12)
    draws, widths = 200_000, (10, 7)
    q = np.ones(draws)
    for width in widths:  # critical ReLU: F = (2/n) χ² with a binomial number of degrees of freedom
        on = rng.binomial(width, 0.5, size=draws)
        q = q * np.where(on > 0, 2.0 / width * rng.chisquare(np.maximum(on, 1)), 0.0)
    z = np.sqrt(q)[:, None] * rng.standard_normal((draws, 2))
    product = (z[:, :1] ** 2 - 1) * (z[:, 1:] ** 2 - 1)
    assert (
        np.abs(z_scores(product, np.array([squared_output_covariance(widths, RELU)]))).max() < MONTE_CARLO_SE
    )
    assert np.abs(z_scores(product, np.zeros(1))).max() > MONTE_CARLO_SE


def test_leading_covariance_is_the_limit_of_the_exact_one() -> None:
    """At n = 10⁶ they agree to O(L/n); for tanh only the leading order exists."""
    exact = squared_output_covariance([10**6] * 3, RELU)
    leading = leading_squared_output_covariance(10**6, 3, RELU, weight_variance=2.0)
    assert leading == pytest.approx(exact, rel=1e-4)
    assert leading_squared_output_covariance(100, 2, TANH, weight_variance=1.0) > 0


@pytest.mark.parametrize("function", [ntk_second_moment, squared_output_covariance])
def test_other_activations_are_refused(function: object) -> None:
    """The exact laws hold for the scale-invariant family only."""
    with pytest.raises(ValueError, match="scale-invariant"):
        function([4], TANH)
