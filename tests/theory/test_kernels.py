"""Kernels of fully connected networks: against finite networks, brute force, and the edges."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal, getcontext

import numpy as np
import pytest

from tests.theory.references import network_kernels, skewed_points, tensor_gauss_hermite, z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import ERF, GELU, RELU, TANH, Activation, leaky
from widesweep.theory.infinite_width.kernels import (
    fully_connected_cross_kernels,
    fully_connected_kernels,
    infinite_ntk,
)
from widesweep.theory.spectrum import eigenvalues_with_error


@pytest.mark.parametrize(
    ("activation", "weight", "bias"),
    [(RELU, 1.7, 0.3), (GELU, 1.5, 0.2), (TANH, 1.3, 0.1), (leaky(0.2, 1.0), 2.0, 0.0)],
)
def test_wide_networks_have_these_kernels(activation: Activation, weight: float, bias: float) -> None:
    """Every layer's part and the output covariance lie within 5 standard errors of explicit Jacobians."""
    x = skewed_points(3)
    draws = [network_kernels(x, 256, 2, activation, weight, bias, seed) for seed in range(150)]
    outputs = np.stack([d[0] for d in draws])
    parts = np.stack([d[1] for d in draws])
    kernels = fully_connected_kernels(x @ x.T, 2, activation, weight_variance=weight, bias_variance=bias)
    assert np.abs(z_scores(parts, kernels.layer_ntk)[1:]).max() < MONTE_CARLO_SE
    assert np.abs(z_scores(parts, kernels.layer_ntk)[0]).max() < MONTE_CARLO_SE
    products = np.einsum("si,sj->sij", outputs, outputs)
    assert np.abs(z_scores(products, kernels.nngp)).max() < MONTE_CARLO_SE
    # negative control: a bias counted twice, or a weight variance 10 % off, is seen by the same test
    wrong = fully_connected_kernels(x @ x.T, 2, activation, weight_variance=1.1 * weight, bias_variance=bias)
    assert np.abs(z_scores(parts, wrong.layer_ntk)).max() > MONTE_CARLO_SE


def test_gelu_with_biases_agrees_with_a_recursion_by_quadrature() -> None:
    """Three layers of brute-force Gauss–Hermite, entry by entry, give the same kernels to 1e-10."""
    x = skewed_points(3) * np.array([[1.0], [0.6], [1.4]])
    weight, bias = 1.6, 0.25
    nngp = bias + weight * x @ x.T
    ntk = nngp.copy()
    for _ in range(3):
        value, slope = np.empty_like(nngp), np.empty_like(nngp)
        for i in range(3):
            for j in range(3):
                arguments = nngp[i, i], nngp[j, j], nngp[i, j] * (1 - 1e-15 * (i == j))
                value[i, j] = tensor_gauss_hermite(GELU.value, *arguments)
                slope[i, j] = tensor_gauss_hermite(GELU.derivative, *arguments)
        nngp = bias + weight * value
        ntk = nngp + weight * slope * ntk
    kernels = fully_connected_kernels(x @ x.T, 3, GELU, weight_variance=weight, bias_variance=bias)
    assert np.allclose(kernels.nngp, nngp, rtol=EXACT, atol=0)
    assert np.allclose(kernels.ntk(), ntk, rtol=EXACT, atol=0)


def test_two_layers_without_factors_give_the_kernel_of_arora_et_al() -> None:
    """First and output factor 1, W alone trains: H^∞ = x·x'(π − arccos x·x')/2π."""
    gram = skewed_points(6) @ skewed_points(6).T
    kernels = fully_connected_kernels(
        gram, 1, RELU, weight_variance=2.0, first_weight_variance=1.0, output_weight_variance=1.0
    )
    expected = gram * (np.pi - np.arccos(np.clip(gram, -1, 1))) / (2 * np.pi)
    assert np.allclose(
        kernels.ntk("hidden"), expected, rtol=0, atol=1e-8
    )  # arccos loses half the digits at 1


@pytest.mark.parametrize("activation", [RELU, ERF, GELU, TANH], ids=lambda a: a.name)
def test_blocks_and_layers_agree_whatever_the_route(activation: Activation) -> None:
    """Keeping all layers, keeping none, and train–test blocks are three codes with one answer."""
    x = skewed_points(190, 6) * np.linspace(0.7, 1.3, 190)[:, None]
    settings = {"weight_variance": 1.7, "bias_variance": 0.1}
    kernels = fully_connected_kernels(x @ x.T, 3, activation, **settings)
    nngp, ntk = infinite_ntk(x @ x.T, 3, activation, **settings)
    norms = np.square(x).sum(axis=1)
    cross = fully_connected_cross_kernels(x[:5] @ x[5:].T, norms[:5], norms[5:], 3, activation, **settings)
    assert np.allclose(kernels.nngp, nngp, rtol=EXACT, atol=0)
    assert np.allclose(kernels.ntk(), ntk, rtol=EXACT, atol=0)
    assert np.allclose(kernels.ntk()[:5, 5:], cross.ntk(), rtol=EXACT, atol=0)
    assert np.array_equal(ntk, ntk.T)
    assert np.array_equal(kernels.layer_ntk, kernels.layer_ntk.transpose(0, 2, 1))


def test_what_trains_selects_layers() -> None:
    """hidden + last = all, and last is the covariance without its own bias twice."""
    gram = skewed_points() @ skewed_points().T
    kernels = fully_connected_kernels(gram, 3, ERF, weight_variance=1.2, bias_variance=0.1)
    assert np.allclose(kernels.ntk("hidden") + kernels.ntk("last"), kernels.ntk("all"), rtol=EXACT)
    assert np.array_equal(kernels.ntk("last"), kernels.nngp)
    with pytest.raises(ValueError, match="hidden"):
        kernels.ntk("first")


@pytest.mark.parametrize("activation", [RELU, ERF, GELU, TANH], ids=lambda a: a.name)
def test_duplicates_and_antipodes_stay_finite_and_singular(activation: Activation) -> None:
    """A repeated point repeats its row; nothing is nan at correlation ±1."""
    x = skewed_points(4)
    x = np.vstack([x, x[1], -x[2]])
    gram = x @ x.T
    gram[1, 4] = gram[4, 1] = gram[1, 1] = gram[4, 4]
    ntk = fully_connected_kernels(gram, 3, activation, weight_variance=1.8).ntk()
    assert np.isfinite(ntk).all()
    assert np.allclose(ntk[1], ntk[4], rtol=0, atol=1e-6)
    assert abs(np.linalg.eigvalsh(ntk)[0]) < 1e-6


def test_relu_at_two_keeps_its_variance_through_fifty_layers() -> None:
    """K is constant in depth, and the diagonal of Θ is K times the number of layers, exactly."""
    kernels = fully_connected_kernels([[1.0]], 50, RELU, weight_variance=2.0)
    assert np.array_equal(kernels.hidden_nngp.ravel(), np.full(51, 2.0))
    assert abs(kernels.ntk()[0, 0] - 2.0 * 51) < EXACT


def test_bad_input_is_refused_with_what_was_found() -> None:
    """Asymmetry, a negative variance and a wrong shape each name themselves."""
    with pytest.raises(ValueError, match="asymmetric"):
        fully_connected_kernels([[1.0, 0.5], [0.4, 1.0]], 1, RELU, weight_variance=2.0)
    with pytest.raises(ValueError, match="bias_variance -1"):
        fully_connected_kernels(np.eye(2), 1, RELU, weight_variance=2.0, bias_variance=-1.0)
    with pytest.raises(ValueError, match="depth -1"):
        fully_connected_kernels(np.eye(2), -1, RELU, weight_variance=2.0)
    with pytest.raises(ValueError, match="shape"):
        fully_connected_cross_kernels(np.eye(2), [1.0], [1.0, 1.0], 1, RELU, weight_variance=2.0)


def test_ten_layers_need_few_arrays_of_the_gram_matrix() -> None:
    """700 points, depth 10: less than 5 arrays n × n are allocated; with the Gram matrix, 6."""
    x = skewed_points(700, 9)
    gram = x @ x.T
    tracemalloc.start()
    infinite_ntk(gram, 10, GELU, weight_variance=1.7, bias_variance=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * gram.nbytes


def test_one_point_and_no_hidden_layer_are_the_smallest_cases() -> None:
    """Depth 0 is the linear model, Θ = K = C_b + C_W x·x'; one point at any depth is a number."""
    kernels = fully_connected_kernels([[0.49]], 0, RELU, weight_variance=2.0, bias_variance=0.5)
    assert kernels.ntk()[0, 0] == kernels.nngp[0, 0] == 2.0 * 0.49 + 0.5
    assert fully_connected_kernels([[1.0]], 4, TANH, weight_variance=1.5).ntk().shape == (1, 1)
    zero = fully_connected_kernels([[0.0, 0.0], [0.0, 1.0]], 2, RELU, weight_variance=2.0).ntk()
    assert np.isfinite(zero).all()
    assert zero[0, 0] == 0.0


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-12])
@pytest.mark.parametrize("sign", [1, -1])
def test_correlations_next_to_one_agree_with_fifty_digits(gap: float, sign: int) -> None:
    """Two hidden ReLU layers at correlation ±(1 − gap), against the recursion in 50-digit decimals."""
    rho = sign * (1.0 - gap)
    ntk = fully_connected_kernels([[1.0, rho], [rho, 1.0]], 2, RELU, weight_variance=2.0).ntk()
    assert ntk[0, 1] == pytest.approx(_relu_in_decimals(rho, 2), rel=1e-7 if gap else EXACT)


def _relu_in_decimals(rho: float, depth: int) -> float:
    """Θ(x, x') for C_W = 2 with the angle from its series: cos^-1(1 − g) = √(2g)(1 + g/12 + 3g²/160 + …)."""
    getcontext().prec = 50
    pi = Decimal("3.14159265358979323846264338327950288419716939937510")
    covariance = tangent = 2 * Decimal(rho)
    for _ in range(depth):
        correlation = covariance / 2
        small = 1 - abs(correlation)
        angle = (2 * small).sqrt() * (1 + small / 12 + 3 * small**2 / 160 + 5 * small**3 / 896)
        angle = angle if correlation > 0 else pi - angle
        if small > Decimal("1e-3"):
            angle = Decimal(float(np.arccos(float(correlation))))
        sine = ((1 - correlation) * (1 + correlation)).sqrt()
        covariance = 2 * (sine + (pi - angle) * correlation) / pi
        tangent = covariance + (pi - angle) / pi * tangent
    return float(tangent)


@pytest.mark.slow
def test_four_thousand_points_with_duplicates_and_antipodes() -> None:
    """Finite, symmetric, entry by entry what a few points alone give, in at most 6 arrays of 4,000²."""
    x = np.random.default_rng(0).standard_normal((4000, 30))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[1], x[3], x[5] = x[0], -x[2], x[4] + 1e-15
    gram = x @ x.T
    tracemalloc.start()
    _, ntk = infinite_ntk(gram, 3, RELU, weight_variance=2.0, bias_variance=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * gram.nbytes
    assert np.isfinite(ntk).all()
    np.testing.assert_array_equal(ntk, ntk.T)
    few = np.r_[0:6, 100:130]
    _, alone = infinite_ntk(gram[np.ix_(few, few)], 3, RELU, weight_variance=2.0, bias_variance=0.1)
    np.testing.assert_allclose(ntk[np.ix_(few, few)], alone, atol=EXACT)
    eigenvalues, error = eigenvalues_with_error(alone)
    assert np.abs(eigenvalues[:2]).max() < error < eigenvalues[3]
