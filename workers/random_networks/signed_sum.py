"""Outputs of the two-layer network: sums of random signs, given the hidden layer.

Given s_r = σ(w_rᵀx), f = m^{−½} Σ_r a_r s_r has the cumulants κ_{2k}(f|s) = c_{2k} m^{−k} Σ_r s_r^{2k}, where
c are those of one sign: 1, −2, 16, −272.
"""

from __future__ import annotations

import math

import numpy as np

from widesweep.workers.jackknife import cumulants_from_moments
from widesweep.workers.random_networks.measurement import Case, mean_of_chunks


def power_means(case: Case, draws: int, highest: int, random: np.random.Generator) -> np.ndarray:
    """Means of E[f^{2k} | hidden layer] over draws, k = 0 … highest, under the 1/√m scaling.

    Args:
        case: of a two-layer network.
        draws: random networks, at least 1.
        highest: largest k.
        random: where the numbers come from.

    Returns:
        Shape (highest + 1,).
    """
    activation, width = case.network.activation_object(), case.width

    def moments(count: int) -> np.ndarray:
        s = activation.value(random.standard_normal((count, width))) / math.sqrt(width)
        return conditional_moments(s, highest).T

    return mean_of_chunks(moments, draws, width)


def conditional_moments(s: np.ndarray, highest: int) -> np.ndarray:
    """E[(Σ_r a_r s_r)^{2k}] over random signs a, k = 0 … highest, by μ_j = Σ_i C(j−1, i−1) κ_i μ_{j−i}.

    Args:
        s: terms of each sum, shape (draws, m).
        highest: largest k.

    Returns:
        Shape (draws, highest + 1).

    >>> conditional_moments(np.array([[1.0, 1.0]]), 2).tolist()
    [[1.0, 2.0, 8.0]]
    """
    sign = cumulants_from_moments(np.array([1.0, *([0.0, 1.0] * highest)]))
    moments = np.zeros((len(s), 2 * highest + 1))
    moments[:, 0] = 1.0
    power, square = np.ones_like(s), s**2
    cumulants = np.zeros_like(moments)
    for k in range(1, highest + 1):
        power *= square
        cumulants[:, 2 * k] = sign[2 * k] * power.sum(1)
        for i in range(2, 2 * k + 1, 2):
            moments[:, 2 * k] += math.comb(2 * k - 1, i - 1) * cumulants[:, i] * moments[:, 2 * k - i]
    return moments[:, ::2]


def normalised_cumulants(means: np.ndarray) -> np.ndarray:
    """κ_{2k}/κ_2^k from even moments; along the last axis, index k."""
    moments = np.zeros((*means.shape[:-1], 2 * means.shape[-1] - 1))
    moments[..., ::2] = means
    cumulants = cumulants_from_moments(moments)[..., ::2]
    powers = np.arange(means.shape[-1])
    return np.asarray(cumulants / cumulants[..., 1:2] ** powers)
