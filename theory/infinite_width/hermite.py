"""Dual activations of any function by its Hermite series: E[σ(√p u)σ(√q v)] = Σ_k a_k(p) a_k(q) ρ^k."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.quadrature import PANELS, gaussian_rule, hermite_table

FIRST_ORDERS = 64  # enough for tanh at variances up to 1
MAX_ORDERS = 400
TARGET = 2e-15  # of the second moment: where the series is cut
NOTHING = 1e-13  # a coefficient of the wrong parity, whose square is 1e-26

Places = NDArray[np.intp]
Evaluator = Callable[[slice | Places, slice | Places, Array, float], tuple[Array, Array]]


def hermite_coefficients(function: Callable[[Array], Array], variances: Array) -> tuple[Array, float]:
    """Coefficients a_k(q) = E[F(√q g) h_k(g)] and the error of the series cut after them.

    By Parseval the tail of Σ a_k² is E[F²] minus what is kept; it bounds the error of Σ a_k(p) a_k(q) ρ^k
    at every |ρ| ≤ 1 (Cauchy–Schwarz). The quadrature's own error is estimated from half as many panels and
    added.

    Args:
        function: F, elementwise.
        variances: q, shape (n,).

    Returns:
        Shape (n, orders), and the largest error over the given variances.

    >>> coefficients, error = hermite_coefficients(lambda z: z**3, np.array([1.0]))
    >>> (coefficients[0, [1, 3]] ** 2).round(6), error < 1e-10
    (array([9., 6.]), True)
    """
    nodes, weights = gaussian_rule()
    values = function(np.sqrt(variances)[:, None] * nodes)  # (n, nodes)
    second = np.square(values) @ weights
    coefficients, tails = _expand(values * weights, second, FIRST_ORDERS)
    if np.any(tails[:, -1] > TARGET * second):
        coefficients, tails = _expand(values * weights, second, MAX_ORDERS)
    enough = np.all(tails <= TARGET * second[:, None], axis=0)
    orders = int(np.argmax(enough)) + 1 if enough.any() else tails.shape[1]
    coarse_nodes, coarse_weights = gaussian_rule(PANELS // 2)
    coarse = np.square(function(np.sqrt(variances)[:, None] * coarse_nodes)) @ coarse_weights
    rounding = 64 * np.finfo(np.float64).eps * second
    error = np.max(np.abs(tails[:, orders - 1]) + np.abs(second - coarse) + rounding)
    return coefficients[:, :orders], float(error)


def _expand(weighted: Array, second: Array, orders: int) -> tuple[Array, Array]:
    """The first coefficients, and the remainder of the second moment after each."""
    coefficients = weighted @ hermite_table(MAX_ORDERS)[:orders].T
    return coefficients, second[:, None] - np.cumsum(np.square(coefficients), axis=1)


def hermite_diagonal(activation: Activation, variances: Array) -> tuple[Array, Array]:
    """E[σ(z)²] and E[σ'(z)²], z ~ N(0, q), by quadrature.

    Args:
        activation: σ.
        variances: q, any shape.

    Returns:
        Two arrays of the shape of `variances`.

    >>> from widesweep.theory.activations import TANH
    >>> hermite_diagonal(TANH, np.array([1.0]))[0].round(6)
    array([0.394294])
    """
    nodes, weights = gaussian_rule()
    distinct, places = _distinct(variances)
    at = np.sqrt(distinct)[:, None] * nodes
    moments = [np.square(function(at)) @ weights for function in (activation.value, activation.derivative)]
    first, second = (moment[places].reshape(np.shape(variances)) for moment in moments)
    return first, second


def hermite_duals(
    activation: Activation, row_variances: Array, column_variances: Array
) -> tuple[Evaluator, float]:
    """The evaluator of both series on blocks, and the error of either expectation.

    Args:
        activation: σ.
        row_variances: shape (n,).
        column_variances: shape (m,).

    Returns:
        (rows, columns, covariance block, factor) ↦ factor · (E[σσ'], E[σ'σ']), and the stated error.

    >>> from widesweep.theory.activations import TANH
    >>> evaluate, error = hermite_duals(TANH, np.ones(1), np.ones(1))
    >>> evaluate(slice(0, 1), slice(0, 1), np.array([[1.0]]), 1.0)[0].round(6)
    array([[0.394294]])
    """
    rows_count = row_variances.size
    distinct, places = _distinct(np.concatenate([row_variances, column_variances]))
    series, errors = zip(
        *(hermite_coefficients(f, distinct) for f in (activation.value, activation.derivative)), strict=True
    )

    def evaluate(
        rows: slice | Places, columns: slice | Places, covariance: Array, factor: float
    ) -> tuple[Array, Array]:
        scale = np.sqrt(row_variances[rows, None] * column_variances[None, columns])
        correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0.0)
        np.clip(correlation, -1.0, 1.0, out=correlation)
        left, right = places[:rows_count][rows], places[rows_count:][columns]
        value, slope = (factor * _series(table, left, right, correlation) for table in series)
        return value, slope

    return evaluate, max(errors)


def _distinct(variances: Array) -> tuple[Array, Places]:
    """Distinct variances to 46 bits, and where each belongs: norms equal but for rounding share one."""
    mantissa, exponent = np.frexp(variances)
    rounded = np.ldexp(np.rint(mantissa * 2.0**46) / 2.0**46, exponent)
    distinct, places = np.unique(rounded, return_inverse=True)
    return distinct, np.asarray(places, dtype=np.intp)


def _series(table: Array, left: Places, right: Places, correlation: Array) -> Array:
    """Σ_k a_k(left) a_k(right) ρ^k by Horner's rule, in ρ² where σ is odd or even."""
    sizes = np.abs(table).max(axis=0)
    for parity in (0, 1):
        if sizes[1 - parity :: 2].max(initial=0.0) <= NOTHING * sizes.max():
            square = np.square(correlation)
            result = _horner(table[:, parity::2], left, right, square)
            return result * correlation if parity else result
    return _horner(table, left, right, correlation)


def _horner(table: Array, left: Places, right: Places, variable: Array) -> Array:
    """Σ_k table[left, k] table[right, k] t^k; plain coefficients where all variances agree."""
    result = np.zeros_like(variable)
    for k in range(table.shape[1] - 1, -1, -1):
        result *= variable
        if table.shape[0] == 1:
            result += table[0, k] ** 2
        else:
            result += table[left, k][:, None] * table[right, k][None, :]
    return result
