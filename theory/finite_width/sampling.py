"""How many draws a cumulant of the conditional variance needs: sampling errors by the log-normal form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def relative_error(order: int, variance: Array | float, draws: Array | float) -> Array:
    """Standard error of the order-th sample cumulant of q over that cumulant, q log-normal of mean 1.

    With x = q − 1 and μ_j = E[x^j] the estimate's error is, to first order in 1/draws, the mean of

        order 2: x² − μ2;  order 3: x³ − μ3 − 3μ2 x;  order 4: x⁴ − μ4 − 4μ3 x − 6μ2 (x² − μ2),

    whose variance is dominated by E[q^{2k}]/E[q^k]² = exp(k² log(1 + variance)) where tails are heavy. The
    conditional variance of a random network is a product of independent factors, one for each layer, whose
    logarithm has a variance of about 5L/n for ReLU.

    Args:
        order: k, 2 to 4.
        variance: Var(q)/E[q]² > 0, any shape.
        draws: independent draws of q, > 0, broadcast with `variance`.

    Returns:
        Shape of both; inf where float64 does not hold the moments.

    Raises:
        ValueError: another order.

    Source: the influence function of a cumulant, as in Hampel et al. 1986, Robust Statistics, section 2.1;
    the log-normal limit of products, Hanin and Nica 2019, arXiv:1909.05989.

    >>> relative_error(2, np.array([0.01]), 1e6).round(5)
    array([0.00147])
    """
    if order not in (2, 3, 4):
        raise ValueError(f"order {order}: cumulants of q of order 2, 3 and 4 are known")
    spread = np.log1p(np.asarray(variance, dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        mu = [_central(j, spread) for j in range(2 * order + 1)]
        polynomials: dict[int, list[Array | float]] = {
            2: [-mu[2], 0.0, 1.0],
            3: [-mu[3], -3.0 * mu[2], 0.0, 1.0],
            4: [-mu[4] + 6.0 * mu[2] ** 2, -4.0 * mu[3], -6.0 * mu[2], 0.0, 1.0],
        }
        polynomial = polynomials[order]
        square = sum(a * b * mu[i + j] for i, a in enumerate(polynomial) for j, b in enumerate(polynomial))
        cumulant = {2: mu[2], 3: mu[3], 4: mu[4] - 3.0 * mu[2] ** 2}[order]
        found = np.sqrt(np.maximum(square, 0.0) / draws) / cumulant
    return np.asarray(np.where(np.isfinite(found), found, np.inf), dtype=np.float64)


def _central(order: int, spread: Array) -> Array:
    """E[(q − 1)^order] from the raw moments exp(j(j − 1)/2 · spread), small spreads without cancellation."""
    signs = [(-1.0) ** (order - j) * _binomial(order, j) for j in range(order + 1)]
    terms = [sign * np.expm1(0.5 * j * (j - 1) * spread) for j, sign in enumerate(signs)]
    whole = 1.0 if order == 0 else 0.0
    return np.asarray(whole + sum(terms), dtype=np.float64)


def _binomial(n: int, k: int) -> float:
    return float(np.prod([(n - i) / (i + 1) for i in range(k)]))
