"""Dual activations against quadrature, at unequal variances and at the edges of the correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.theory.references import by_angle, tensor_gauss_hermite
from tests.tolerances import EXACT
from widesweep.theory.activations import ERF, GELU, LINEAR, RELU, TANH, Activation, leaky
from widesweep.theory.infinite_width.duals import dual, second_moments

CASES = [(1.3, 0.4, -0.35), (0.2, 2.1, 0.5), (1.0, 1.0, 0.999), (3.0, 0.7, 0.0)]
SIN = Activation("sin", np.sin, np.cos)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("activation", [ERF, GELU, TANH, SIN], ids=lambda a: a.name)
def test_smooth_duals_agree_with_a_product_rule(
    activation: Activation, case: tuple[float, float, float]
) -> None:
    """E[σσ'] and E[σ'σ'] meet tensor Gauss–Hermite to 1e-10 at unequal variances."""
    p, q, c = case
    value, slope, error = dual(activation, [p], [q], [[c]])
    assert error < EXACT
    # 120 nodes leave about 1e-8 for tanh at variance 3: it has poles; 400 do not
    order = 120 if activation is not TANH else 400
    assert abs(value[0, 0] - tensor_gauss_hermite(activation.value, p, q, c, order)) < EXACT
    assert abs(slope[0, 0] - tensor_gauss_hermite(activation.derivative, p, q, c, order)) < EXACT


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "activation", [RELU, LINEAR, leaky(0.2, 1.0), leaky(-0.3, 1.2)], ids=lambda a: a.name
)
def test_piecewise_linear_duals_agree_with_integrals_over_the_angle(
    activation: Activation, case: tuple[float, float, float]
) -> None:
    """The arctan2 form meets one-dimensional quadrature to 1e-10."""
    value, slope, _ = dual(activation, [case[0]], [case[1]], [[case[2]]])
    assert np.allclose([value[0, 0], slope[0, 0]], by_angle(activation, *case), rtol=0, atol=EXACT)


@pytest.mark.parametrize("activation", [ERF, GELU], ids=lambda a: a.name)
def test_series_and_closed_form_agree_on_a_whole_matrix(activation: Activation) -> None:
    """The same function under another name takes the Hermite series and gives the same numbers."""
    other = Activation("unknown", activation.value, activation.derivative)
    p, q = np.array([0.3, 1.1, 2.0]), np.array([0.9, 1.7])
    covariance = np.sqrt(np.outer(p, q)) * np.array([[0.9, -0.2], [1.0, 0.3], [-1.0, 0.6]])
    for closed, series in zip(
        dual(activation, p, q, covariance)[:2], dual(other, p, q, covariance)[:2], strict=True
    ):
        assert np.allclose(closed, series, rtol=0, atol=EXACT)


def test_the_stated_error_of_the_series_covers_its_true_error() -> None:
    """For a kinked callable the series is poor, says so, and says enough: a tolerance that can fail."""
    kinked = Activation("kinked", RELU.value, RELU.derivative)
    correlation = np.array([[0.3, 0.99, 1.0 - 1e-9]])
    value, slope, error = dual(kinked, [1.0], [1.0, 1.0, 1.0], correlation)
    true_value, true_slope, _ = dual(RELU, [1.0], [1.0, 1.0, 1.0], correlation)
    worst = max(np.abs(value - true_value).max(), np.abs(slope - true_slope).max())
    assert 1e-4 < worst <= error < 0.1


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-12, 1e-8])
def test_near_parallel_inputs_keep_the_digits_the_covariance_has(gap: float) -> None:
    """At ρ = ±(1 − gap) the angle is √(2 gap)(1 + gap/12): arccos would lose half the digits."""
    rho = 1.0 - gap
    actual_gap = 1.0 - rho  # exact in float64
    angle = math.sqrt(2 * actual_gap) * (1 + actual_gap / 12)
    _, slope, _ = dual(RELU, [1.0], [1.0, 1.0], [[rho, -rho]])
    assert np.allclose(
        slope[0], [(math.pi - angle) / (2 * math.pi), angle / (2 * math.pi)], rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("activation", [RELU, leaky(0.1, 0.9), ERF, GELU, TANH], ids=lambda a: a.name)
def test_rounding_beyond_perfect_correlation_is_clipped(activation: Activation) -> None:
    """A covariance one part in 1e15 too large gives the second moment, never nan."""
    value, slope, _ = dual(activation, [0.7], [0.7], [[0.7 * (1 + 3e-15)]])
    expected = second_moments(activation, np.array([0.7]))
    assert np.allclose([value[0, 0], slope[0, 0]], np.ravel(expected), rtol=0, atol=1e-12)


def test_antipodal_inputs_have_orthogonal_relu_features() -> None:
    """E[σ(z)σ(−z)] = 0 and E[σ'(z)σ'(−z)] = 0 for ReLU."""
    value, slope, _ = dual(RELU, [1.7], [1.7], [[-1.7]])
    assert np.abs([value, slope]).max() < 1e-15


def test_a_wrong_closed_form_would_be_seen() -> None:
    """Negative control: GELU with its variances exchanged for their mean misses by far more than 1e-10."""
    p, q, c = 0.4, 1.8, 0.3
    wrong = dual(GELU, [(p + q) / 2], [(p + q) / 2], [[c]])[0][0, 0]
    assert abs(wrong - tensor_gauss_hermite(GELU.value, p, q, c)) > 1e-3
