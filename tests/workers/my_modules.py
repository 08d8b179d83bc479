"""Factories as a researcher writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.networks import Convolutional, FullyConnected


class Plain(nn.Module):
    """x ↦ s relu(s₁ x W₁) W₂ …: the built-in network of one seed, written out."""

    def __init__(self, network: FullyConnected, width: int, depth: int, inputs: int, outputs: int, seed: int):
        super().__init__()
        layers = network.layers(width, depth, inputs, outputs)
        weights, _ = initial_parameters(layers, (0, width, depth, seed), torch.float64, torch.device("cpu"))
        self.scales = [layer.weight_scale for layer in layers]
        self.weights = nn.ParameterList(weights)

    def forward(self, x: Tensor) -> Tensor:
        for h, (scale, weight) in enumerate(zip(self.scales, self.weights, strict=True)):
            x = scale * (x @ weight)
            x = torch.relu(x) if h < len(self.scales) - 1 else x
        return x


def plain(width: int, depth: int, inputs: int, outputs: int, seed: int = 0) -> nn.Module:
    """The built-in network of a seed."""
    return Plain(FullyConnected(), width, depth, inputs, outputs, seed)


class Attention(nn.Module):
    """One block: features as tokens of one number."""

    def __init__(self, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.embed, self.qkv = nn.Linear(1, width), nn.Linear(width, 3 * width)
        self.norm, self.out, self.heads = nn.LayerNorm(width), nn.Linear(width, outputs), heads

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x[..., None])
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v
        value: Tensor = self.out((tokens + mixed.transpose(1, 2).flatten(2)).mean(1))
        return value


def attention(width: int, depth: int, inputs: int, outputs: int, heads: int = 2) -> nn.Module:
    """A transformer block."""
    return Attention(width, heads, outputs)


def convolution(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """A small convolutional network on a line of numbers."""
    return nn.Sequential(
        nn.Unflatten(1, (1, inputs)), nn.Conv1d(1, width, 3, padding=1), nn.GELU(), nn.Flatten(),
        nn.Linear(width * inputs, outputs),
    )  # fmt: skip


def normed(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """Layer norm, a frozen first layer."""
    made = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.Tanh(), nn.Linear(width, outputs))
    made[0].requires_grad_(False)
    return made


def batch_normed(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """Running statistics."""
    return nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.Linear(width, outputs))


def mixing(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """Batch statistics."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.BatchNorm1d(width, track_running_stats=False), nn.Linear(width, outputs)
    )


def dropping(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """Dropout."""
    return nn.Sequential(nn.Linear(inputs, width), nn.Dropout(0.5), nn.Linear(width, outputs))


class Branching(nn.Module):
    """Control flow by data."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.linear(x)
        return value if float(value.sum()) > 1e9 else 2.0 * value


def branching(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """A module that reads a number."""
    return Branching(inputs, outputs)


def by_numpy(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """Parameters of another generator."""
    made = nn.Linear(inputs, outputs)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(np.random.default_rng().standard_normal(made.weight.shape)))
    return made


def no_module(width: int, depth: int, inputs: int, outputs: int) -> Any:
    """Something else."""
    return lambda x: x


def wrong_shape(width: int, depth: int, inputs: int, outputs: int) -> nn.Module:
    """One output too many."""
    return nn.Linear(inputs, outputs + 1)


class Convolved(nn.Module):
    """The built-in convolutional network of one seed, written out by torch's own convolution."""

    def __init__(self, network: Convolutional, width: int, depth: int, outputs: int, seed: int) -> None:
        super().__init__()
        self.network, self.layers = network, network.layers(width, depth, 0, outputs)
        cpu = torch.device("cpu")
        weights, biases = initial_parameters(self.layers, (0, width, depth, seed), torch.float64, cpu)
        self.weights = nn.ParameterList(weights)
        self.biases = nn.ParameterList([b for b in biases if b is not None])

    def forward(self, x: Tensor) -> Tensor:
        height, width, channels = self.network.shape
        q, around = self.network.kernel, "constant" if self.network.padding == "zero" else "circular"
        features = x.reshape(len(x), height, width, channels).permute(0, 3, 1, 2)
        for h, layer in enumerate(self.layers[:-1]):
            filters = self.weights[h].view(q, q, -1, layer.fan_out).permute(3, 2, 0, 1)
            padded = nn.functional.pad(features, (q // 2,) * 4, mode=around)
            z = nn.functional.conv2d(padded, filters * layer.weight_scale)
            z = z + layer.bias_scale * self.biases[h].view(1, -1, 1, 1) if layer.bias_scale else z
            branch = layer.branch_scale * torch.erf(z)
            features = features + branch if layer.skip else branch
        read = features.flatten(1) if self.network.readout == "flatten" else features.mean((2, 3))
        output = self.layers[-1].weight_scale * (read @ self.weights[-1])
        return output + self.layers[-1].bias_scale * self.biases[-1] if len(self.biases) else output


def convolved(width: int, depth: int, inputs: int, outputs: int, seed: int = 0, **options: Any) -> nn.Module:
    """The built-in convolutional network of a seed, with erf."""
    return Convolved(Convolutional(activation="erf", **options), width, depth, outputs, seed)
