"""Random fully connected networks with every weight drawn: what the weight-free samplers are met by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.workers.networks import FullyConnected


@dataclass(frozen=True)
class Drawn:
    """Networks on one input of unit norm in d dimensions; each of shape (draws, …).

    Attributes:
        outputs: two outputs on each point, shape (draws, points, 2).
        gradient: of the first output in the first point, shape (draws, d).
        ntk: Θ(x, x) of the first output at the first point, all layers training.
    """

    outputs: np.ndarray
    gradient: np.ndarray
    ntk: np.ndarray


def draw(network: FullyConnected, width: int, depth: int, x: np.ndarray, draws: int, seed: int) -> Drawn:
    """Forward on all points, backward from the first output at the first point, by whole matrices."""
    random = np.random.default_rng(seed)
    layers = network.layers(width, depth, x.shape[1])
    activation = network.activation_object()
    a = np.broadcast_to(x, (draws, *x.shape))
    weights, inputs, before = [], [], []
    for index, layer in enumerate(layers):
        fan_out = 2 if index == depth else layer.fan_out
        w = layer.weight_std * random.standard_normal((draws, layer.fan_in, fan_out))
        b = layer.bias_std * random.standard_normal((draws, 1, fan_out))
        z = layer.weight_scale * (a @ w) + layer.bias_scale * b
        weights.append(w)
        inputs.append(a[:, 0])
        before.append(z)
        a = activation.value(z)
    v, ntk = np.zeros((draws, 2)), np.zeros(draws)
    v[:, 0] = 1.0
    for index in range(depth, -1, -1):
        layer = layers[index]
        norm = layer.weight_scale**2 * (inputs[index] ** 2).sum(1) + layer.bias_scale**2
        ntk += layer.trains * norm * (v**2).sum(1)
        v = layer.weight_scale * np.einsum("bij,bj->bi", weights[index], v)
        if index:
            v = v * activation.derivative(before[index - 1][:, 0])
    return Drawn(before[-1], v, ntk)
