"""The variance q of a Gaussian output given the hidden layers, drawn layer by layer.

Given layer l, the m pre-activations of layer l+1 are independent N(0, q_l), so that one number carries a
network from layer to layer: q_{l+1} = C_b + (C_W/m) Σ_j σ(√q_l g_j)².
"""

from __future__ import annotations

import math

import numpy as np

from theory.activations import Activation
from workers.cumulants import cumulants_from_moments
from workers.networks.base import Network
from workers.networks.fully_connected import FullyConnected
from workers.seeds import generator

CHUNK_NUMBERS = 2**21  # random numbers held at a time


def group_means(
    network: Network, width: int, depth: int, draws: int, highest: int, key: tuple[int, ...]
) -> np.ndarray:
    """Means of (q/K − 1)^k over draws, k = 0 … highest, K the infinite-width variance.

    Args:
        network: fully connected.
        width: m.
        depth: hidden layers.
        draws: random networks, at least 1.
        highest: largest power.
        key: what the stream of random numbers is keyed by.

    Returns:
        Shape (highest + 1,).
    """
    assert isinstance(network, FullyConnected)
    limit = float(network.kernels(np.ones((1, 1)), depth).nngp[0, 0])
    random = generator("random networks", *key)
    sums = np.zeros(highest + 1)
    per_draw = 1 if network.activation_object().slopes is not None else width
    chunk = max(1, CHUNK_NUMBERS // per_draw)
    for first in range(0, draws, chunk):
        x = sample(network, width, depth, min(chunk, draws - first), random) / limit - 1.0
        sums += [float(np.sum(x**k)) for k in range(highest + 1)]
    return sums / draws


def normalised_cumulants(means: np.ndarray) -> np.ndarray:
    """κ_{2k}/K^k = (2k−1)!! c_k(q)/E[q]^k from means of (q/K^∞ − 1)^k; along the last axis, index k."""
    cumulants = cumulants_from_moments(means)
    mean = 1.0 + means[..., 1]
    cumulants[..., 1] = mean
    for k in range(1, means.shape[-1]):
        cumulants[..., k] *= math.prod(range(1, 2 * k, 2)) / mean**k
    return cumulants


def sample(
    network: FullyConnected, width: int, depth: int, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Draws of q, the output's variance given the hidden layers, for one input of unit norm; shape (draws,).

    Source: Hanin 2022, arXiv:2204.01058: the output is N(0, q) given q.
    """
    first, variance = network.variances()
    bias = network.bias_variance
    activation = network.activation_object()
    q = np.full(draws, first + bias)
    for _ in range(depth):
        q = bias + variance * _mean_square(activation, q, width, random)
    return q


def _mean_square(
    activation: Activation, q: np.ndarray, width: int, random: np.random.Generator
) -> np.ndarray:
    """(1/m) Σ_j σ(√q g_j)² for each q; a chi-square where σ is scale-invariant."""
    if activation.slopes is not None:
        return np.asarray(q / width * _weighted_chi_square(activation.slopes, width, len(q), random))
    z = random.standard_normal((len(q), width))
    z *= np.sqrt(q)[:, None]
    values = activation.value(z)
    return np.asarray(np.einsum("ij,ij->i", values, values) / width)


def _weighted_chi_square(
    slopes: tuple[float, float], width: int, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Σ_j s_j² g_j², s_j = a₋ or a₊ with probability ½: χ² with a binomial number of degrees of freedom."""
    minus, plus = slopes[0] ** 2, slopes[1] ** 2
    if minus == plus:
        return np.asarray(plus * random.chisquare(width, draws))
    positive = random.binomial(width, 0.5, draws)
    total = np.zeros(draws)
    for square, count in ((plus, positive), (minus, width - positive)):
        if square:
            total += 2.0 * square * random.standard_gamma(0.5 * count)
    return total
