"""Batches of convolutional networks against torch's own convolution and autograd."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.func import jacrev

from tests.tolerances import EXACT
from widesweep.workers.engine import convolutional_ensemble
from widesweep.workers.engine.convolutional_ensemble import ConvolutionalEnsemble
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.engine.tangent_kernels import tangent_kernel
from widesweep.workers.networks import Convolutional
from widesweep.workers.networks.layers import Layer

SIGMA = {"relu": torch.relu, "erf": torch.erf, "tanh": torch.tanh}
SCALES = {"bias_variance": 0.3, "weight_variance": 1.5}
WIDTH, DEPTH, IMAGE = 5, 3, (3, 4, 2)
CASES = [
    ({"padding": "zero", "readout": "flatten", **SCALES}, 1),
    ({"padding": "circular", "readout": "pool", **SCALES}, 2),
    (
        {"padding": "zero", "readout": "pool", "parameterization": "standard", "activation": "erf", **SCALES},
        1,
    ),
    ({"padding": "circular", "readout": "flatten", "parameterization": "mup", **SCALES}, 2),
    ({"kernel": 5, "activation": "tanh", "trains": "hidden", "output_scale": 2.0, **SCALES}, 1),
    ({"skip": True, "residual_scale": 1.4}, 2),
    ({"skip": True, "activation": "erf", "readout": "pool", "padding": "circular"}, 1),
]


def written_out(
    network: Convolutional, layers: Sequence[Layer], parameters: Sequence[Tensor], x: Tensor
) -> Tensor:
    """αf by torch's conv2d; parameters are weights, then the biases that exist."""
    height, width, channels = network.shape
    q, sigma = network.kernel, SIGMA[str(network.activation)]
    weights, biases = parameters[: len(layers)], iter(parameters[len(layers) :])
    features = x.view(len(x), height, width, channels).permute(0, 3, 1, 2)
    for h, layer in enumerate(layers[:-1]):
        filters = weights[h].view(q, q, -1, layer.fan_out).permute(3, 2, 0, 1) * layer.weight_scale
        mode = "constant" if network.padding == "zero" else "circular"
        z = torch.nn.functional.conv2d(torch.nn.functional.pad(features, (q // 2,) * 4, mode=mode), filters)
        if layer.bias_scale:
            z = z + layer.bias_scale * next(biases).view(1, -1, 1, 1)
        branch = layer.branch_scale * sigma(z)
        features = features + branch if layer.skip else branch
    read = features.flatten(1) if network.readout == "flatten" else features.mean((2, 3))
    z = layers[-1].weight_scale * read @ weights[-1]
    return (
        network.alpha * (z + layers[-1].bias_scale * next(biases) if layers[-1].bias_scale else z).flatten()
    )


def started(options: dict, outputs: int, cells: int = 2) -> tuple[Convolutional, ConvolutionalEnsemble, list]:
    network = Convolutional(image=IMAGE, **options)
    layers = network.layers(WIDTH, DEPTH, 24, outputs)
    cpu = torch.device("cpu")
    starts = [initial_parameters(layers, (0, WIDTH, DEPTH, s), torch.float64, cpu) for s in range(cells)]
    x = torch.randn(4, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x /= x.norm(dim=1, keepdim=True)
    rates = torch.linspace(0.1, 0.2, cells, dtype=torch.float64).numpy()
    batch = ConvolutionalEnsemble(network, layers, starts, range(cells), rates, x)
    flat = [[*weights, *(b for b in biases if b is not None)] for weights, biases in starts]
    return network, batch, flat


@pytest.mark.parametrize(("options", "outputs"), CASES)
def test_outputs_kernel_and_step_are_those_of_autograd(options: dict, outputs: int) -> None:
    """αf, G = JJᵀ over what trains and one step of descent, to 1e-10."""
    network, batch, starts = started(options, outputs)
    kernels = tangent_kernel(batch)
    residual = torch.randn(2, 4 * outputs, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    biases = [h for h, layer in enumerate(batch.layers) if layer.bias_scale]
    trains = [batch.layers[h].trains for h in [*range(DEPTH + 1), *biases]]
    expected = []
    for cell, parameters in enumerate(starts):
        moved = [k for k, each in enumerate(trains) if each]

        def outputs_of(*moving: Tensor, moved: list = moved, parameters: list = parameters) -> Tensor:
            every = list(parameters)
            for k, each in zip(moved, moving, strict=True):
                every[k] = each
            return written_out(network, batch.layers, every, batch.x[0])

        moving = [parameters[k] for k in moved]
        torch.testing.assert_close(batch.outputs[cell], outputs_of(*moving), rtol=EXACT, atol=EXACT)
        parts = jacrev(outputs_of, argnums=tuple(range(len(moving))))(*moving)
        jacobian = torch.cat([part.flatten(1) for part in parts], 1)
        torch.testing.assert_close(kernels[cell], jacobian @ jacobian.T, rtol=EXACT, atol=EXACT)
        eta = float(batch.learning_rates[cell])
        gradient = (residual[cell] @ jacobian).split([each.numel() for each in moving])
        expected.append([p - eta * g.view(p.shape) for p, g in zip(moving, gradient, strict=True)])
    batch.step(residual)
    for cell, parameters in enumerate(expected):
        for ours, theirs in zip(batch.trained.tensors, parameters, strict=True):
            torch.testing.assert_close(ours[cell], theirs, rtol=EXACT, atol=EXACT)


def test_a_kernel_does_not_depend_on_how_many_channels_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one channel at a time, also between two sets of points, G is the same to rounding."""
    _, batch, _ = started({**SCALES}, 2)
    other = batch.at(batch.x[0][:3] * 0.7)
    other.forward()
    whole = tangent_kernel(batch), tangent_kernel(other, batch)
    monkeypatch.setattr(convolutional_ensemble, "GRADIENT_BYTES", 1)
    parts = tangent_kernel(batch), tangent_kernel(other, batch)
    torch.testing.assert_close(parts, whole, rtol=EXACT, atol=EXACT)
