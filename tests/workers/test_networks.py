"""Infinite-width kernels of each config against the finite networks that it builds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tolerances import MONTE_CARLO_SE
from tests.workers.blocks import block
from widesweep.workers.data import DataConfig, load
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.engine.tangent_kernels import tangent_kernel
from widesweep.workers.networks import FullyConnected, RandomFeatures, ResNet, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.block_training import run

WIDTH, STARTS = 400, 60
CASES = [
    (FullyConnected(weight_variance=1.6, bias_variance=0.2), 2),
    (FullyConnected(activation="tanh", weight_variance=1.6, bias_variance=0.2, trains="hidden"), 2),
    (FullyConnected(parameterization="standard", weight_variance=1.6, bias_variance=0.2), 2),
    (FullyConnected(parameterization="standard", weight_variance=1.6, bias_variance=0.2, trains="hidden"), 1),
    (FullyConnected(parameterization="mup", activation="gelu"), 2),
    (FullyConnected(parameterization="du", trains="hidden"), 2),
    (FullyConnected(activation="erf", trains="last", output_scale=2.0), 1),
    (TwoLayer(trains="hidden"), 1),
    (RandomFeatures(), 1),
    (ResNet(residual_scale=1.5), 3),
    (ResNet(activation="tanh", trains="hidden"), 2),
    (RandomFeatures(activation="erf", output_scale=2.0), 1),
    (TwoLayer(trains="all", parameterization="mup"), 1),
]


def finite(network: Network, depth: int, x: np.ndarray, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Tangent kernels (starts, nK, nK) and outputs (starts, nK) at initialisation."""
    layers = network.layers(WIDTH, depth, x.shape[1], outputs)
    cpu = torch.device("cpu")
    starts = [initial_parameters(layers, (0, WIDTH, depth, s), torch.float64, cpu) for s in range(STARTS)]
    batch = Ensemble(network, layers, starts, range(STARTS), np.ones(STARTS), torch.from_numpy(x))
    outputs = batch.forward().numpy().copy()
    return tangent_kernel(batch).numpy(), outputs


def deviations(samples: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.abs(samples.mean(0) - expected) / (samples.std(0, ddof=1) / np.sqrt(len(samples)))


@pytest.mark.parametrize(("network", "depth"), CASES, ids=lambda c: getattr(c, "kind", c))
def test_kernels_at_large_width_approach_the_limit(network: Network, depth: int) -> None:
    """Mean of Θ/c(m) and of f fᵀ over 60 starts at width 400, within 5 standard errors of the limit.

    Under `standard` the first layer and the biases add a share of order 1/m to Θ/m: a band of 2 %.
    """
    x = load(DataConfig(source="sphere", samples=4, inputs=3, seed=1)).x
    kernel, outputs = finite(network, depth, x)
    limit = network.tangent_kernel(x @ x.T, depth)
    scaled = kernel / network.kernel_scale(WIDTH, depth)
    band = 0.02 if getattr(network, "parameterization", "") == "standard" else 0.004
    close = np.abs(scaled.mean(0) - limit) < band * np.abs(limit).max()
    assert (close | (deviations(scaled, limit) < MONTE_CARLO_SE)).all()
    if getattr(network, "parameterization", "") != "mup":
        products = outputs[:, :, None] * outputs[:, None, :]
        assert deviations(products, network.output_covariance(x @ x.T, depth)).max() < MONTE_CARLO_SE


@pytest.mark.parametrize("network", [FullyConnected(weight_variance=1.6), TwoLayer(trains="hidden")])
def test_kernels_of_three_outputs_approach_three_copies_of_the_limit(network: Network) -> None:
    """Θ^∞ ⊗ I_K, and the Kronecker order matters: output-major copies are refused."""
    x = load(DataConfig(source="sphere", samples=4, inputs=3, seed=1)).x
    kernel, outputs = finite(network, 1, x, outputs=3)
    limit = network.tangent_kernel(x @ x.T, 1)
    scale = np.abs(limit).max()
    error = np.abs(kernel.mean(0) - np.kron(limit, np.eye(3)))
    assert ((error < 0.004 * scale) | (deviations(kernel, np.kron(limit, np.eye(3))) < MONTE_CARLO_SE)).all()
    assert (np.abs(kernel.mean(0) - np.kron(np.eye(3), limit)) > 0.1 * scale).any()
    products = outputs[:, :, None] * outputs[:, None, :]
    covariance = np.kron(network.output_covariance(x @ x.T, 1), np.eye(3))
    assert deviations(products, covariance).max() < MONTE_CARLO_SE


def test_a_kernel_of_what_does_not_train_is_refused() -> None:
    """Negative control: the kernel of all layers is not that of the hidden ones."""
    x = load(DataConfig(source="sphere", samples=4, inputs=3, seed=1)).x
    kernel, _ = finite(FullyConnected(trains="hidden"), 2, x)
    assert deviations(kernel, FullyConnected().tangent_kernel(x @ x.T, 2)).max() > MONTE_CARLO_SE


def test_random_features_keep_their_kernel_and_decay_at_its_least_eigenvalue() -> None:
    """G(k) = ΦΦᵀ at every step, the late rate of ‖r‖ is −log(1 − ηλ_min(ΦΦᵀ)); trained weights differ."""
    data = load(DataConfig(source="sphere", samples=4, inputs=3, seed=1))
    training = GradientDescent(steps=40_000, records=400)
    rate = {"learning_rates": (0.5,), "learning_rates_absolute": (0.5,), "seeds": (0,)}
    cell = run(block(RandomFeatures(), 64, 1, training=training, **rate), data).squeeze()
    assert (cell.ntk_relative_change == 0.0).all()
    norm = cell.residual_norm.values
    late = (norm < 1e-6 * norm[0]) & (norm > 1e-11 * norm[0])
    assert late.sum() >= 10
    slope = np.polyfit(cell.step.values[late], np.log(norm[late]), 1)[0]
    own = float(-np.log1p(-0.5 * cell.ntk_min_eigenvalue[0]))
    assert -slope == pytest.approx(own, rel=1e-3)
    other = run(block(TwoLayer(), 64, 1, training=training, **rate), data).squeeze()
    assert (other.ntk_relative_change[1:] > 1e-4).all()


@pytest.mark.parametrize("network", [FullyConnected, TwoLayer])
def test_mean_field_is_another_name_of_mup(network: type[FullyConnected] | type[TwoLayer]) -> None:
    """A config may use either; what is resolved, and so hashed and stored, is one of the two."""
    one, other = (network.model_validate({"parameterization": name}) for name in ("mean_field", "mup"))
    assert one == other
    assert one.parameterization == "mup"
    assert network().parameterization == "ntk"


def test_the_default_variance_is_resolved_in_the_config() -> None:
    """What is stored is the number that networks are drawn with; `du` has none of its own."""
    for activation, variance in (("relu", 2.0), ("tanh", 1.0), ("gelu", 2.155057)):
        network = FullyConnected(activation=activation)
        assert network.weight_variance == pytest.approx(variance, rel=1e-6)
        assert network.variances() == (network.weight_variance, network.weight_variance)
        assert FullyConnected.model_validate_json(network.model_dump_json()) == network
    assert FullyConnected(parameterization="du").weight_variance is None
