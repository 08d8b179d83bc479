"""The variance q of a Gaussian output given the hidden layers, drawn layer by layer.

Given layer l, the m pre-activations of layer l+1 are independent N(0, q_l), so that one number carries a
network from layer to layer: q_{l+1} = C_b + (C_W/m) Σ_j σ(√q_l g_j)².
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.workers.jackknife import cumulants_from_moments
from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.networks.network import Network
from widesweep.workers.random_networks.measurement import (
    FEW_DRAWS,
    MANY_DRAWS,
    SCALE_INVARIANT_S,
    Case,
    mean_of_chunks,
)


def power_means(case: Case, draws: int, highest: int, random: np.random.Generator) -> np.ndarray:
    """Means of (q/K − 1)^k over draws, k = 0 … highest, K the infinite-width variance.

    Args:
        case: of a fully connected network.
        draws: random networks, at least 1.
        highest: largest power.
        random: where the numbers come from.

    Returns:
        Shape (highest + 1,).
    """
    centre = limit(case.network, case.depth)

    def powers(count: int) -> np.ndarray:
        x = sample(case.network, case.width, case.depth, count, random) / centre - 1.0
        table = np.ones((highest + 1, count))
        for k in range(1, highest + 1):
            np.multiply(table[k - 1], x, out=table[k])
        return table

    return mean_of_chunks(powers, draws, numbers(case))


@lru_cache(maxsize=64)
def limit(network: Network, depth: int) -> float:
    """K: the output's variance in the limit of infinite width, for one input of unit norm."""
    return float(network.kernels(np.ones((1, 1)), depth).nngp[0, 0])


def numbers(case: Case) -> int:
    """Random numbers that one draw holds at a time."""
    return 4 if _is_cheap(case.network) else case.width


def draw_s(case: Case) -> float:
    """Seconds of one draw of q on one core."""
    per_layer = SCALE_INVARIANT_S if _is_cheap(case.network) else case.neuron_s * case.width
    return case.depth * per_layer


def part_draws(case: Case) -> int:
    """Draws of one part."""
    return MANY_DRAWS if _is_cheap(case.network) else FEW_DRAWS


def _is_cheap(network: Network) -> bool:
    """Whether a layer's draw is a chi-square, whatever its width."""
    return isinstance(network, FullyConnected) and network.activation_object().slopes is not None


def normalised_cumulants(means: np.ndarray) -> np.ndarray:
    """κ_{2k}/K^k = (2k−1)!! c_k(q)/E[q]^k from means of (q/K^∞ − 1)^k; along the last axis, index k."""
    cumulants = cumulants_from_moments(means)
    mean = 1.0 + means[..., 1]
    cumulants[..., 1] = mean
    for k in range(1, means.shape[-1]):
        cumulants[..., k] *= math.prod(range(1, 2 * k, 2)) / mean**k
    return cumulants


def sample(network: Network, width: int, depth: int, draws: int, random: np.random.Generator) -> np.ndarray:
    """Draws of q, the output's variance given the hidden layers, for one input of unit norm; shape (draws,).

    Args:
        network: fully connected or two-layer.
        width: m.
        depth: hidden layers.
        draws: random networks.
        random: where the numbers come from.

    Source: Hanin 2022, arXiv:2204.01058: the output is N(0, q) given q.
    """
    if not isinstance(network, FullyConnected):
        return _mean_square(network.activation_object(), np.ones(draws), width, random)
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
