"""The tangent kernel and the input gradient of one output, drawn without a weight matrix.

Forward, h = sWa given a is N(0, s²‖a‖²) in every neuron. Backward, the same W is met once more: given h,
sWᵀv = a (hᵀv)/‖a‖² + s‖v‖ (g − a aᵀg/‖a‖²), g ~ N(0, I), for what W does orthogonally to a is independent
of h. So a layer costs a few times m numbers, not m².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.networks.layers import Layer


@dataclass(frozen=True)
class Backward:
    """What a draw leaves, each of shape (draws,); the input x has unit norm.

    Attributes:
        ntk: Θ(x, x), over the layers that train.
        along: derivative of the output along x.
        across: variance of its derivative in any direction orthogonal to x, given all layers but the first.
    """

    ntk: np.ndarray
    along: np.ndarray
    across: np.ndarray


@dataclass(frozen=True)
class _Hidden:
    """A hidden layer after the forward pass; `norm` is ‖a‖² of its input, `given` that input."""

    layer: Layer
    given: np.ndarray | None
    norm: np.ndarray
    h: np.ndarray
    slope: np.ndarray


def sample(
    network: FullyConnected, width: int, depth: int, draws: int, random: np.random.Generator
) -> Backward:
    """Draws of Θ(x, x) and of the gradient's components.

    Args:
        network: fully connected, in any parameterisation; its output scale is left out.
        width: m.
        depth: hidden layers.
        draws: random networks.
        random: where the numbers come from.

    Returns:
        Θ(x, x), ∂f/∂x along x, and the variance across.

    Source: Gaussian conditioning; the passes as in Hanin and Nica 2019, arXiv:1909.05989.
    """
    *hidden, output = network.layers(width, depth, 1)
    activation = network.activation_object()
    a, norm, passed = None, np.ones(draws), []
    for layer in hidden:
        h = _std(layer) * np.sqrt(norm)[:, None] * random.standard_normal((draws, width))
        z = h + layer.bias_scale * layer.bias_std * random.standard_normal(h.shape) if layer.bias_scale else h
        passed.append(_Hidden(layer, a, norm, h, activation.derivative(z)))
        a = activation.value(z)
        norm = _dot(a, a)
    ntk = _share(output, norm, np.ones(draws))
    u = _std(output) * random.standard_normal((draws, width))
    for each in reversed(passed):
        v = u * each.slope
        square, product = _dot(v, v), _dot(each.h, v)
        ntk += _share(each.layer, each.norm, square)
        if each.given is not None:
            u = _transposed(each, each.given, square, product, random)
    return Backward(ntk, product, _std(passed[0].layer) ** 2 * square)


def _transposed(
    hidden: _Hidden, a: np.ndarray, square: np.ndarray, product: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """sWᵀv given h = sWa."""
    length = _std(hidden.layer) * np.sqrt(square)
    noise = random.standard_normal(a.shape)
    inverse = np.divide(1.0, hidden.norm, out=np.zeros_like(hidden.norm), where=hidden.norm > 0)
    along = (product - length * _dot(a, noise)) * inverse
    return np.asarray(along[:, None] * a + length[:, None] * noise)


def _share(layer: Layer, norm: np.ndarray, square: np.ndarray) -> np.ndarray:
    """A layer's part of Θ: ‖v‖² (scale² ‖a‖² + bias scale²), 0 if it does not train."""
    return square * (layer.weight_scale**2 * norm + layer.bias_scale**2) * float(layer.trains)


def _std(layer: Layer) -> float:
    return layer.weight_scale * layer.weight_std


def _dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->i", left, right))
