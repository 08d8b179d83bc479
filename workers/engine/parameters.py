"""A network's parameters: how they are drawn, and arrays as large as what trains of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.networks.layers import Layer
from widesweep.workers.seeds import generator


def initial_parameters(
    layers: Sequence[Layer], coordinates: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[list[Tensor], list[Tensor | None]]:
    """W and b of each layer at initialisation, drawn on the CPU in float64 so that devices agree.

    Args:
        layers: the network's layers.
        coordinates: (config seed, width, depth, cell seed).
        dtype: precision to round to.
        device: where they are put.

    Returns:
        Weights of shape (fan_in, fan_out) and biases of shape (1, fan_out) or None.
    """
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    for h, layer in enumerate(layers):
        shape = (layer.fan_in, layer.fan_out)
        random = generator("weights", *coordinates, h)
        values = random.choice([-1.0, 1.0], size=shape) if layer.signs else random.standard_normal(shape)
        if layer.weight_std != 1.0:
            values *= layer.weight_std
        weights.append(torch.from_numpy(values).to(device=device, dtype=dtype))
        bias = None
        if layer.bias_scale:
            values = generator("biases", *coordinates, h).standard_normal((1, layer.fan_out))
            bias = torch.from_numpy(layer.bias_std * values).to(device=device, dtype=dtype)
        biases.append(bias)
    return weights, biases


@dataclass(frozen=True)
class Parameters:
    """Arrays as large as what trains, one for each layer; None where nothing trains or there is no bias."""

    weights: list[Tensor | None]
    biases: list[Tensor | None]

    @property
    def tensors(self) -> list[Tensor]:
        """Those that exist, weights first."""
        return [each for each in (*self.weights, *self.biases) if each is not None]

    def chosen(self, cells: Tensor) -> Parameters:
        """The arrays of these cells alone."""
        return Parameters(
            [None if w is None else memory_layout.copy(w[cells]) for w in self.weights],
            [None if b is None else b[cells] for b in self.biases],
        )
