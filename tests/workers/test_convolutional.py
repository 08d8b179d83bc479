"""Convolutional networks train as torch's own convolution does, in any company, and approach their limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.tolerances import MONTE_CARLO_SE
from tests.workers.blocks import block, sphere
from widesweep.workers.engine.convolutional_ensemble import ConvolutionalEnsemble
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.engine.tangent_kernels import tangent_kernel
from widesweep.workers.networks import Convolutional, Module
from widesweep.workers.optimizers import (
    Adam,
    GradientDescent,
    GradientFlow,
    Langevin,
    Momentum,
    Nesterov,
    StochasticGradientDescent,
)
from widesweep.workers.training.block_training import run

IMAGE = (2, 3, 2)
MEASURED = ("loss", "kernel", "spectrum", "linearized", "second_order", "test_loss", "linearized_test")
SHARED: dict[str, Any] = {"steps": 12, "records": 5, "measure": MEASURED}
OPTIMIZERS = {
    "gd": GradientDescent(**SHARED),
    "sgd": StochasticGradientDescent(batch_size=3, **SHARED),
    "momentum": Momentum(momentum=0.5, **SHARED),
    "nesterov": Nesterov(momentum=0.6, **SHARED),
    "adam": Adam(steps=12, records=5, measure=("loss", "kernel", "test_loss")),
    "langevin": Langevin(temperature=0.0, **SHARED),
    "gradient_flow": GradientFlow(**{**SHARED, "steps": 3}),
}
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {"weight_variance": 1.3, "bias_variance": 0.2},
    "residual": {"skip": True, "readout": "pool", "padding": "circular"},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_training_is_that_of_torchs_convolution(kind: str, name: str) -> None:
    """Every stored number of a batch by hand equals autograd's through a module, to 1e-9."""
    data = sphere(samples=5, inputs=12, outputs=1 if kind == "plain" else 2, test_samples=3)
    options = {"image": IMAGE, **NETWORKS[kind]}
    rate = {"seeds": (3,), "learning_rates": (0.02,), "learning_rates_absolute": (0.02,)}
    ours = run(block(Convolutional(activation="erf", **options), training=OPTIMIZERS[name], **rate), data)
    module = Module(
        factory="tests.workers.my_modules:convolved", options={"seed": 3, **options, "image": list(IMAGE)}
    )
    theirs = run(block(module, training=OPTIMIZERS[name], **rate), data)
    for variable in theirs.data_vars:
        np.testing.assert_allclose(
            ours[variable], theirs[variable], rtol=1e-9, atol=1e-10, err_msg=str(variable)
        )


EVERYTHING = (
    "loss", "kernel", "drift", "patterns", "spectrum", "modes", "subspaces", "layer_kernels",
    "last_hidden_kernel", "second_order", "linearized", "du_conditions", "alignment",
    "coordinates", "sharpness",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "dtype"), [("plain", "float64"), ("residual", "float32")])
def test_a_cell_has_the_same_bits_in_any_company(kind: str, dtype: str) -> None:
    """Every measurement of one seed and rate alone, and among six cells of a batch."""
    network = Convolutional(image=IMAGE, activation="tanh", **NETWORKS[kind])
    training = GradientDescent(steps=70, records=6, dtype=dtype, measure=EVERYTHING)
    data = sphere(samples=5, inputs=12, outputs=2)
    together = run(block(network, width=7, training=training, seeds=(0, 1, 3)), data)
    rate = {"learning_rates": (0.1,), "learning_rates_absolute": (0.1,)}
    alone = run(block(network, width=7, training=training, seeds=(3,), **rate), data)
    for variable in alone.data_vars:
        expected = together[variable].sel(seed=[3], learning_rate=[0.1])
        np.testing.assert_array_equal(alone[variable], expected, err_msg=str(variable))


LIMITS = [
    {"weight_variance": 1.6, "bias_variance": 0.2},
    {"weight_variance": 1.6, "readout": "pool", "padding": "circular", "trains": "hidden"},
    {"parameterization": "standard", "weight_variance": 1.6, "bias_variance": 0.2},
    {"parameterization": "standard", "weight_variance": 1.6, "readout": "pool", "trains": "last"},
    {"parameterization": "mup", "activation": "gelu"},
    {"skip": True, "residual_scale": 1.5},
    {"skip": True, "activation": "tanh", "readout": "pool", "trains": "hidden", "output_scale": 2.0},
]
CHANNELS, STARTS = 96, 60


@pytest.mark.parametrize("options", LIMITS)
def test_kernels_of_wide_networks_approach_the_limit(options: dict[str, Any]) -> None:
    """Mean of Θ/c(m) and of f fᵀ over 60 starts of 96 channels: 5 standard errors, and a bias of order 1/m.

    The control, a kernel of another read-out, is beyond both.
    """
    network, depth = Convolutional(image=IMAGE, **options), 2
    x = sphere(samples=3, inputs=12).x
    layers = network.layers(CHANNELS, depth, 12)
    cpu = torch.device("cpu")
    starts = [initial_parameters(layers, (0, CHANNELS, depth, s), torch.float64, cpu) for s in range(STARTS)]
    batch = ConvolutionalEnsemble(
        network, layers, starts, range(STARTS), np.ones(STARTS), torch.from_numpy(x)
    )
    outputs = batch.outputs.numpy().copy()
    kernel = tangent_kernel(batch).numpy() / network.kernel_scale(CHANNELS, depth)
    limit, covariance = network.limit(network.kernel_input(x), depth)
    band = 0.06 if network.parameterization == "standard" else 0.02
    assert _close(kernel, limit, band)
    if network.parameterization != "mup":
        assert _close(outputs[:, :, None] * outputs[:, None, :], covariance, 0.0)
    other = network.model_copy(update={"readout": "pool" if network.readout == "flatten" else "flatten"})
    assert not _close(kernel, other.limit(other.kernel_input(x), depth)[0], band)


def _close(samples: np.ndarray, expected: np.ndarray, band: float) -> bool:
    """Whether every mean is within 5 standard errors, or the band times the largest entry."""
    error = np.abs(samples.mean(0) - expected)
    noise = samples.std(0, ddof=1) / np.sqrt(len(samples))
    return bool((error < np.maximum(MONTE_CARLO_SE * noise, band * np.abs(expected).max())).all())


def test_one_layers_kernels_add_up_to_that_of_all() -> None:
    """Parts by layer, which Du's conditions read, sum to Θ to 1e-12; the last is the output's covariance."""
    network = Convolutional(image=IMAGE, **NETWORKS["residual"])
    points = network.kernel_input(sphere(samples=3, inputs=12).x)
    parts = network.kernels(points, 3)
    np.testing.assert_allclose(parts.layer_ntk.sum(0), network.tangent_kernel(points, 3), rtol=1e-12)
    np.testing.assert_allclose(parts.layer_ntk[-1], parts.nngp, rtol=1e-12)


REFUSED = {
    "even": ({"kernel": 4}, "odd"),
    "scales of the residual network": ({"skip": True, "weight_variance": 1.0}, "leave weight_variance"),
    "standard residual": ({"skip": True, "parameterization": "standard"}, "ntk or mup"),
    "no residual": ({"residual_scale": 2.0}, "set skip"),
}


@pytest.mark.parametrize(("options", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_is_refused(options: dict[str, Any], told: str) -> None:
    """One reason and what would do."""
    with pytest.raises(ValueError, match=told):
        Convolutional(image=IMAGE, **options)
