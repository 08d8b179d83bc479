"""Cumulants at initialisation against exact values, against whole weight matrices, and a wrong law."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.workers.jackknife import cumulants_from_moments, jackknife
from widesweep.workers.networks import FullyConnected, TwoLayer
from widesweep.workers.networks.network import Leaky, Network
from widesweep.workers.random_networks import InitializationBlock, InitializationConfig, run
from widesweep.workers.random_networks.conditional_variance import sample
from widesweep.workers.random_networks.signed_sum import conditional_moments

LEAKY = Leaky(leaky=(0.25, 1.0))


def deviations(
    network: Network, width: int, depth: int, draws: int = 40_000, against: int | None = None
) -> np.ndarray:
    """(measured − predicted)/standard error of κ4 and κ6; `against`: the width that is predicted for."""
    settings = InitializationConfig(draws=draws, orders=(4, 6))
    measured = run(InitializationBlock(width, depth, network, settings))
    predicted, kind = network.predicted_cumulants(against or width, depth, (4, 6))
    assert kind == "exact"
    return np.asarray((measured.cumulant - predicted) / measured.cumulant_standard_error)


@pytest.mark.parametrize("activation", ["relu", "linear", LEAKY], ids=str)
def test_cumulants_equal_the_exact_ones_on_twenty_shapes(activation: object) -> None:
    """κ4 and κ6 of 20 (width, depth) pairs within 5 standard errors of the finite product of moments."""
    network = FullyConnected(activation=activation)
    worst = [deviations(network, m, depth) for m in (16, 48, 96, 200, 400) for depth in (1, 2, 3, 5)]
    assert np.abs(worst).max() < MONTE_CARLO_SE


def test_a_law_with_another_width_is_refused() -> None:
    """Negative control: predictions for 1.2 times the width lie beyond 5 standard errors."""
    assert np.abs(deviations(FullyConnected(), 100, 3, against=120)).max() > MONTE_CARLO_SE


def test_two_layer_signs_have_their_own_cumulants() -> None:
    """Random signs on top: κ4 is exact, and unlike that of Gaussian output weights."""
    assert np.abs(deviations(TwoLayer(), 12, 1)).max() < MONTE_CARLO_SE
    signs = TwoLayer().predicted_cumulants(12, 1, (4,))[0][0]
    gaussian = FullyConnected().predicted_cumulants(12, 1, (4,))[0][0]
    assert signs == pytest.approx((6 - 3) / 12, rel=EXACT)  # E[s⁴]/E[s²]² = 6 for ReLU
    assert gaussian == pytest.approx(3 * (6 - 1) / 12, rel=EXACT)


@pytest.mark.parametrize("bias", [0.0, 0.2])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_conditional_variance_has_the_moments_of_weight_matrices(activation: str, bias: float) -> None:
    """Mean and second moment of q against networks with every weight drawn, at 5 standard errors."""
    network = FullyConnected(activation=activation, weight_variance=1.5, bias_variance=bias)
    width, depth, draws = 10, 3, 20_000
    q = sample(network, width, depth, draws, np.random.default_rng(1))
    direct = outputs_of_weight_matrices(network, width, depth, draws, np.random.default_rng(2))
    for left, right in ((q, direct**2), (3 * q**2, direct**4)):
        error = np.hypot(left.std(), right.std()) / np.sqrt(draws)
        assert abs(left.mean() - right.mean()) < MONTE_CARLO_SE * error


def outputs_of_weight_matrices(
    network: FullyConnected, width: int, depth: int, draws: int, random: np.random.Generator
) -> np.ndarray:
    """One output of networks whose every weight is drawn, for the input e_1 of three; shape (draws,)."""
    act = network.activation_object().value
    variance, bias = network.weight_variance or 2.0, network.bias_variance
    z = np.sqrt(variance) * random.standard_normal((draws, width))
    z += np.sqrt(bias) * random.standard_normal(z.shape)
    for layer in range(depth):
        outputs = width if layer < depth - 1 else 1
        weights = random.standard_normal((draws, width, outputs))
        z = np.sqrt(variance / width) * np.einsum("bi,bij->bj", act(z), weights)
        z += np.sqrt(bias) * random.standard_normal(z.shape)
    return z[:, 0]


def test_conditional_moments_equal_the_mean_over_all_signs() -> None:
    """Every one of 2^5 sign vectors, up to the eighth moment."""
    s = np.array([0.3, -1.1, 0.7, 2.0, 0.1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    sums = s @ signs
    expected = [np.mean(sums ** (2 * k)) for k in range(5)]
    np.testing.assert_allclose(conditional_moments(s[None], 4)[0], expected, rtol=EXACT)


def test_cumulants_of_a_gamma_variable() -> None:
    """κ_k of a gamma variable of shape a is a (k − 1)!, from its raw moments."""
    shape = 2.5
    moments = np.cumprod([1.0, *(shape + np.arange(4))])
    expected = [0.0, shape, shape, 2 * shape, 6 * shape]
    np.testing.assert_allclose(cumulants_from_moments(moments), expected, rtol=EXACT)


def test_the_jackknife_error_covers_a_variance() -> None:
    """The error of a variance of Gaussian draws is √(2/N), and the value lies within 5 of them."""
    x = np.random.default_rng(7).standard_normal((64, 500))
    means = np.stack([np.ones(64), x.mean(1), (x**2).mean(1)], axis=1)
    value, error = jackknife(means, np.full(64, 500), lambda m: cumulants_from_moments(m))
    assert abs(value[2] - 1.0) < MONTE_CARLO_SE * error[2]
    assert error[2] == pytest.approx(np.sqrt(2 / x.size), rel=0.4)


def test_draws_are_reproducible_and_differ_between_seeds() -> None:
    """The same block twice gives the same bits; another seed other numbers."""
    settings = InitializationConfig(draws=2000)
    first, again, other = (run(InitializationBlock(20, 2, FullyConnected(), settings, s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.cumulant, again.cumulant)
    assert (first.cumulant != other.cumulant).all()
