"""Several Gaussian fields at once, layer by layer, without a weight matrix.

Given layer l, the k values of a neuron of layer l+1 (its pre-activation for k inputs, or for one input with
a derivative) are N(0, S), independent between neurons, with S = B + (C_W/m) Σ_j φ_j φ_jᵀ. A layer costs
m k² numbers, not m².
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from widesweep.workers.networks.fully_connected import FullyConnected

Features = Callable[[np.ndarray], np.ndarray]


def sample_points(
    network: FullyConnected, width: int, depth: int, gram: np.ndarray, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Covariance of an output on k inputs given the hidden layers, under the 1/√m scaling.

    Args:
        network: fully connected.
        width: m.
        depth: hidden layers.
        gram: xxᵀ of the inputs, shape (k, k).
        draws: random networks.
        random: where the numbers come from.

    Returns:
        Shape (draws, k, k).
    """
    first, variance = network.variances()
    bias = np.full(gram.shape, network.bias_variance)
    value = network.activation_object().value
    return _chain(first * gram + bias, bias, value, variance, width, depth, draws, random)


def sample_tangents(
    network: FullyConnected, width: int, depth: int, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Covariance of (z, ∂_u z) of an output given the hidden layers, u a unit vector orthogonal to the input.

    Args:
        network: fully connected.
        width: m.
        depth: hidden layers.
        draws: random networks.
        random: where the numbers come from.

    Returns:
        Shape (draws, 2, 2).
    """
    first, variance = network.variances()
    bias = np.diag([network.bias_variance, 0.0])
    activation = network.activation_object()

    def features(z: np.ndarray) -> np.ndarray:
        return np.stack([activation.value(z[..., 0]), activation.derivative(z[..., 0]) * z[..., 1]], axis=-1)

    return _chain(first * np.eye(2) + bias, bias, features, variance, width, depth, draws, random)


def _chain(
    start: np.ndarray, bias: np.ndarray, features: Features, variance: float, width: int, depth: int,
    draws: int, random: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """S of the output, from S of the first layer."""
    s = np.broadcast_to(start, (draws, *start.shape))
    for _ in range(depth):
        normal = random.standard_normal((draws, width, len(start)))
        phi = features(normal @ triangular_root(s).transpose(0, 2, 1))
        s = bias + variance / width * (phi.transpose(0, 2, 1) @ phi)
    return s


def triangular_root(matrices: np.ndarray) -> np.ndarray:
    """Lower triangular T with T Tᵀ = S for symmetric positive semidefinite S; a zero pivot has a zero column.

    Args:
        matrices: S, shape (draws, k, k).

    Returns:
        T, shape (draws, k, k).

    >>> triangular_root(np.array([[[4.0, 2.0], [2.0, 1.0]]])).tolist()
    [[[2.0, 0.0], [1.0, 0.0]]]
    """
    root = np.zeros(matrices.shape)
    left = np.array(matrices, dtype=np.float64)
    floor = 1e-14 * np.maximum(np.trace(left, axis1=1, axis2=2), 1e-300)
    for j in range(matrices.shape[1]):
        pivot = left[:, j, j]
        scale = np.where(pivot > floor, 1.0 / np.sqrt(np.maximum(pivot, floor)), 0.0)
        root[:, j:, j] = left[:, j:, j] * scale[:, None]
        left[:, j:, j:] -= root[:, j:, j, None] * root[:, None, j:, j]
    return root
