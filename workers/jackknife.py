"""From means of powers to cumulants, with an error that owns up to how far groups of draws disagree."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

GROUPS = 64


def cumulants_from_moments(moments: np.ndarray) -> np.ndarray:
    """κ_j = μ_j − Σ_{i<j} C(j−1, i−1) κ_i μ_{j−i} along the last axis, from raw moments μ_0 = 1, μ_1, ….

    >>> cumulants_from_moments(np.array([1.0, 0.0, 1.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    cumulants = np.zeros_like(moments)
    for j in range(1, moments.shape[-1]):
        rest = sum(math.comb(j - 1, i - 1) * cumulants[..., i] * moments[..., j - i] for i in range(1, j))
        cumulants[..., j] = moments[..., j] - rest
    return cumulants


def jackknife(
    means: np.ndarray, sizes: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of pooled means, freed of its bias of order 1/draws, and its standard error.

    Groups are left out one at a time: bias (G−1)(mean − pooled), variance (G−1)/G Σ (θ_(g) − mean)².

    Args:
        means: means within each group, shape (G, k).
        sizes: draws in each group, shape (G,).
        statistic: (…, k) to (…, j).

    Returns:
        Value and standard error, each of shape (j,).

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11.

    >>> value, error = jackknife(np.array([[1.0], [3.0]]), np.array([1, 1]), lambda m: m)
    >>> value.tolist(), error.tolist()
    ([2.0], [1.0])
    """
    groups, share = len(sizes), (sizes / sizes.sum())[:, None]
    total = (share * means).sum(0)
    without = statistic((total - share * means) / (1.0 - share))
    centre = without.mean(0)
    value = groups * statistic(total) - (groups - 1) * centre
    return value, np.sqrt((groups - 1) / groups * ((without - centre) ** 2).sum(0))
