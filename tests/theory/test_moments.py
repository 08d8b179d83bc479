"""Exact cumulants of the scale-invariant family."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from tests.theory.references import network_kernels, z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import LINEAR, RELU, TANH, leaky
from widesweep.theory.finite_width.moments import exact_cumulants, variance_moments


def test_one_relu_layer_of_width_two_by_counting() -> None:
    """Each neuron is on with probability ½: E[F^k] by summing over patterns and chi-square moments."""
    for k in (1, 2, 3, 4):
        total = 0.0
        for pattern in product((0, 1), repeat=2):
            on = sum(pattern)  # F = (2/2) χ²_on, E[(χ²_d)^k] = d(d+2)…(d+2k−2)
            total += 0.25 * math.prod(on + 2 * j for j in range(k))
        assert float(variance_moments([2], RELU, 4)[k]) == pytest.approx(total, rel=EXACT)


def test_deep_linear_moments_are_products_of_chi_squares() -> None:
    """E[F^k] = Π_j (1 + 2j/n) for linear layers; unequal widths multiply."""
    for k in (2, 3, 5):
        expected = math.prod(1 + 2 * j / n for n in (3, 10, 7) for j in range(k))
        assert float(variance_moments([3, 10, 7], LINEAR, 5)[k]) == pytest.approx(expected, rel=EXACT)


def test_the_second_moment_is_the_one_of_science() -> None:
    """κ4/K² = 3(Π(1 + (3A4/A2² − 1)/n) − 1): 5/n for ReLU, and any slopes."""
    slopes = (-0.3, 1.2)
    a2, a4 = (sum(s**k for s in slopes) / 2 for k in (2, 4))
    expected = 3 * (math.prod(1 + (3 * a4 / a2**2 - 1) / n for n in (20, 33)) - 1)
    assert exact_cumulants([20, 33], leaky(*slopes), [4])[0] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("activation", "weight"), [(RELU, 2.0), (leaky(0.4, 1.1), 1.3)])
def test_real_networks_have_these_cumulants(activation: object, weight: float) -> None:
    """Outputs of 40,000 real networks of widths 6 and 6: E[z⁴]/K² within 5 SE; a Gaussian's 3 is not."""
    draws = 40_000
    rng = np.random.default_rng(2)
    q = np.full(draws, weight)
    z = np.sqrt(q)[:, None] * rng.standard_normal((draws, 6))
    for _ in range(2):
        a = activation.value(z)
        w = rng.standard_normal((draws, 6, 6))
        q = weight / 6 * np.square(a).sum(axis=1)
        z = math.sqrt(weight / 6) * np.einsum("doi,di->do", w, a)
    mean_square = sum(s**2 for s in activation.slopes) / 2
    limit = weight * (weight * mean_square) ** 2
    fourth = (z[:, :1] / math.sqrt(limit)) ** 4
    expected = 3 + exact_cumulants([6, 6], activation, [4])[0]
    assert np.abs(z_scores(fourth, np.array([expected]))).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(fourth, np.array([3.0]))).max() > MONTE_CARLO_SE
    second_moment = float(variance_moments([6, 6], activation, 2)[2])
    assert np.abs(z_scores(np.square(q / limit)[:, None], np.array([second_moment]))).max() < MONTE_CARLO_SE


def test_the_plain_network_of_the_references_agrees() -> None:
    """The Jacobian network of the other tests has the same fourth moment: one parameterisation."""
    outputs = np.array([network_kernels(np.eye(1, 3), 5, 1, RELU, 2.0, 0.0, s)[0] for s in range(8000)])
    expected = 3 + exact_cumulants([5], RELU, [4])[0]
    assert np.abs(z_scores((outputs / math.sqrt(2.0)) ** 4, np.array([expected]))).max() < MONTE_CARLO_SE


def test_no_digits_are_lost_at_great_width() -> None:
    """At n = 10⁷ the eighth cumulant is 1e-18; against its leading order it is right to O(1/n)."""
    n = 10**7
    found = exact_cumulants([n], LINEAR, [4, 6, 8])
    # χ²_n/n has cumulants 2^(k−1) (k−1)! / n^(k−1), exactly
    expected = [3 * 2 / n, 15 * 8 / n**2, 105 * 48 / n**3]
    assert np.allclose(found, expected, rtol=EXACT)


def test_relu_constants_of_the_law_for_many_layers() -> None:
    """κ6 → 15·3·5² (L/n)² and κ8 → 105·16·5³ (L/n)³ for L large, L/n small."""
    layers, n = 400, 4 * 10**6
    ratio = exact_cumulants([n] * layers, RELU, [4, 6, 8]) / np.array(
        [15 * (layers / n), 1125 * (layers / n) ** 2, 210_000 * (layers / n) ** 3]
    )
    assert np.allclose(ratio, 1.0, atol=3 / layers)


def test_what_has_no_exact_form_is_refused() -> None:
    """tanh, an odd order, a width of 0."""
    with pytest.raises(ValueError, match="leading order"):
        exact_cumulants([4], TANH, [4])
    with pytest.raises(ValueError, match="order 3"):
        exact_cumulants([4], RELU, [3])
    with pytest.raises(ValueError, match="at least one neuron"):
        exact_cumulants([0], RELU, [4])
