"""Samplers that draw no weight matrix, met by networks with every weight drawn; controls that must fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tolerances import EXACT, MONTE_CARLO_SE
from tests.workers import weight_matrices
from widesweep.workers.networks import FullyConnected
from widesweep.workers.networks.network import Leaky
from widesweep.workers.random_networks import (
    STATISTICS,
    InitializationBlock,
    InitializationConfig,
    backward,
    conditional_covariance,
    hessian,
    run,
)

DRAWS = 10_000
X = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
NETWORKS = [
    FullyConnected(activation="relu"),
    FullyConnected(activation="tanh", weight_variance=1.5, bias_variance=0.2),
    FullyConnected(activation="gelu", parameterization="standard", bias_variance=0.1),
]


def apart(left: np.ndarray, right: np.ndarray) -> float:
    """Distance of two means in standard errors of their difference."""
    error = np.hypot(left.std() / np.sqrt(len(left)), right.std() / np.sqrt(len(right)))
    return float(abs(left.mean() - right.mean()) / error)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: f"{n.activation}-{n.parameterization}")
def test_the_backward_pass_without_matrices_has_their_moments(network: FullyConnected) -> None:
    """Mean and square of Θ, and of the gradient's parts along and across the input."""
    found = backward.sample(network, 7, 3, DRAWS, np.random.default_rng(1))
    direct = weight_matrices.draw(network, 7, 3, X[:1], DRAWS, 2)
    along, across = direct.gradient[:, 0], direct.gradient[:, 1]
    pairs = [(found.ntk, direct.ntk), (found.ntk**2, direct.ntk**2), (found.along**2, along**2)]
    pairs += [(found.across, across**2), (3 * found.across**2, across**4)]
    pairs += [(found.along**2 * found.across, along**2 * across**2)]
    assert max(apart(*pair) for pair in pairs) < MONTE_CARLO_SE


def test_a_wrong_width_is_told_apart() -> None:
    """Negative control: the tangent kernel's square at 1.2 times the width is beyond 5 standard errors."""
    network = NETWORKS[0]
    found = backward.sample(network, 12, 4, 60_000, np.random.default_rng(1)).ntk
    direct = weight_matrices.draw(network, 10, 4, X[:1], 30_000, 2).ntk
    assert apart(found**2, direct**2) > MONTE_CARLO_SE


@pytest.mark.parametrize("network", NETWORKS[:2], ids=lambda n: str(n.activation))
def test_conditional_covariances_have_the_moments_of_outputs(network: FullyConnected) -> None:
    """E[S_ii S_jj], E[S_ij] and E[S_ij²] of two points against products of two outputs."""
    s = conditional_covariance.sample_points(network, 6, 2, X @ X.T, DRAWS, np.random.default_rng(3))
    z = weight_matrices.draw(network, 6, 2, X, DRAWS, 4).outputs
    pairs = [
        (s[:, 0, 1], z[:, 0, 0] * z[:, 1, 0]),
        (s[:, 0, 0] * s[:, 1, 1], z[:, 0, 0] ** 2 * z[:, 1, 1] ** 2),
        (s[:, 0, 1] ** 2, z[:, 0, 0] * z[:, 1, 0] * z[:, 0, 1] * z[:, 1, 1]),
        (s[:, 0, 0] * s[:, 1, 1] + 2 * s[:, 0, 1] ** 2, z[:, 0, 0] ** 2 * z[:, 1, 0] ** 2),
    ]
    assert max(apart(*pair) for pair in pairs) < MONTE_CARLO_SE


def test_tangent_covariances_have_the_moments_of_directional_derivatives() -> None:
    """E of the derivative's square along a direction orthogonal to the input, and of q."""
    network = NETWORKS[1]
    s = conditional_covariance.sample_tangents(network, 6, 3, DRAWS, np.random.default_rng(5))
    direct = weight_matrices.draw(network, 6, 3, X[:1], DRAWS, 6)
    assert apart(s[:, 0, 0], direct.outputs[:, 0, 0] ** 2) < MONTE_CARLO_SE
    assert apart(s[:, 1, 1], direct.gradient[:, 2] ** 2) < MONTE_CARLO_SE


def test_the_triangular_root_of_singular_matrices() -> None:
    """T Tᵀ = S for positive definite, singular and zero matrices, to 1e-10."""
    random = np.random.default_rng(0)
    factors = random.standard_normal((50, 4, 4))
    factors[10:30, :, 2:] = 0.0
    factors[30:] = 0.0
    matrices = factors @ factors.transpose(0, 2, 1)
    root = conditional_covariance.triangular_root(matrices)
    np.testing.assert_allclose(root @ root.transpose(0, 2, 1), matrices, atol=EXACT)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", Leaky(leaky=(0.2, 1.0))], ids=str)
def test_the_hessian_is_that_of_autograd_on_any_input(activation: object) -> None:
    """‖H‖, ‖∇f‖² and ‖H∇f‖ at width 3 against the dense Hessian of the network on an input of dimension 4."""
    network = FullyConnected(activation=activation, weight_variance=1.7, bias_variance=0.3)
    layers = network.layers(3, 2, 4)
    x = torch.tensor([0.5, -0.5, 0.1, 0.7], dtype=torch.float64)
    count = sum(layer.parameters for layer in layers)
    parameters = torch.from_numpy(np.random.default_rng(8).standard_normal((5, count)))
    function = hessian.output(layers, network.activation, x / x.norm())
    found = hessian.curvature(function, parameters)
    for i in range(5):
        dense = torch.func.jacrev(torch.func.grad(function))(parameters[i])
        slope = torch.func.grad(function)(parameters[i])
        norm = torch.linalg.eigvalsh(dense).abs().max()
        np.testing.assert_allclose(found.norm[i], norm, rtol=EXACT)
        np.testing.assert_allclose(found.slope[i], slope @ slope, rtol=EXACT)
        np.testing.assert_allclose(found.bend[i], (dense @ slope).square().sum(), rtol=EXACT)


def test_an_input_of_one_dimension_has_the_same_hessian() -> None:
    """Weights that act on the input alike give one norm, whatever its dimension."""
    network = FullyConnected(activation="tanh")
    x = torch.tensor([0.6, 0.8], dtype=torch.float64)
    parameters = torch.from_numpy(np.random.default_rng(9).standard_normal((1, 2 * 4 + 4 * 4 + 4)))
    first = x @ parameters[0, :8].view(2, 4)
    reduced = torch.cat([first, parameters[0, 8:]])[None]
    one = torch.ones(1, dtype=torch.float64)
    wide = hessian.curvature(hessian.output(network.layers(4, 2, 2), "tanh", x), parameters)
    narrow = hessian.curvature(hessian.output(network.layers(4, 2, 1), "tanh", one), reduced)
    np.testing.assert_allclose(wide.norm, narrow.norm, rtol=EXACT)
    np.testing.assert_allclose(wide.bend, narrow.bend, rtol=EXACT)


SCALARS = ("output_covariance", "input_gradient", "ntk_diagonal", "kernel_depth")


@pytest.mark.parametrize(
    "network", [NETWORKS[0], FullyConnected(activation=Leaky(leaky=(0.3, 1.0)))], ids=str
)
def test_measurements_equal_their_exact_values(network: FullyConnected) -> None:
    """Every exact prediction lies within 5 standard errors; variances for 1.2 times the width do not."""
    settings = InitializationConfig(draws=40_000, measure=SCALARS)
    block = InitializationBlock(20, 3, network, settings, 0, X)
    wider = InitializationBlock(24, 3, network, settings, 0, X)
    found, kinds = run(block), set()
    for name in SCALARS:
        for key, (value, kind) in STATISTICS[name].predict(block.case).items():
            variable = {
                "kernel_predicted": "kernel_mean",
                "kernel_derivative_predicted": "kernel_derivative_mean",
            }
            measured = variable.get(key, key.removesuffix("_predicted"))
            error = float(found[f"{measured}_standard_error"])
            assert abs(float(found[measured]) - value) < MONTE_CARLO_SE * error, key
            kinds.add(kind)
            wrong = STATISTICS[name].predict(wider.case)[key][0]
            if "variance" in key or "covariance" in key:
                assert abs(float(found[measured]) - wrong) > MONTE_CARLO_SE * error, key
    assert kinds == {"exact"}


def test_joint_cumulants_of_one_point_are_those_of_an_output() -> None:
    """The diagonal is κ4/K² and a third of it; the table is symmetric; Cauchy and Schwarz hold across."""
    settings = InitializationConfig(draws=40_000, measure=("joint_cumulants",))
    block = InitializationBlock(16, 2, NETWORKS[0], settings, 0, X)
    found, predicted = run(block), STATISTICS["joint_cumulants"].predict(block.case)
    for name in ("joint_cumulant", "joint_cumulant_outputs"):
        table, error = found[name].values, found[f"{name}_standard_error"].values
        np.testing.assert_allclose(table, table.T, rtol=EXACT)
        score = (np.diag(table) - np.diag(predicted[f"{name}_predicted"][0])) / np.diag(error)
        assert np.abs(score).max() < MONTE_CARLO_SE
        assert 0 < table[0, 1] < np.sqrt(table[0, 0] * table[1, 1])


def test_a_measurement_has_the_same_bits_whatever_else_is_measured() -> None:
    """Streams are keyed by the measurement's name: company changes nothing."""
    alone = run(
        InitializationBlock(8, 2, NETWORKS[1], InitializationConfig(draws=1000, measure=("ntk_diagonal",)))
    )
    names = ("cumulants", "ntk_diagonal", "kernel_depth")
    among = run(InitializationBlock(8, 2, NETWORKS[1], InitializationConfig(draws=1000, measure=names)))
    assert float(alone.ntk_variance) == float(among.ntk_variance)
