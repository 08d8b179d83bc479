"""Infinite-width covariance and tangent kernels of fully connected networks, `ntk` parameterisation.

z^(1) = √C_W W^(1) x + √C_b b and z^(h+1) = √(C_W/m) W σ(z^(h)) + √C_b b; L hidden layers, the output is
z^(L+1). `infinite_width.recursion` runs the layers block by block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array, as_symmetric
from widesweep.theory.infinite_width.recursion import (
    Layers,
    blocks,
    prepare_layers,
    propagate,
    put,
    scales_of_layers,
)


@dataclass(frozen=True)
class Kernels:
    """Kernels of an infinitely wide network of L hidden layers between n and m points (m = n on one set).

    Args:
        nngp: covariance of the output, K^(L+1), shape (n, m).
        layer_ntk: part of the tangent kernel from the weights and biases of each layer, shape (L + 1, n, m);
            layer 1 first, the output layer last.
        hidden_nngp: K^(1) … K^(L+1), shape (L + 1, n, m).
        quadrature_error: largest error of one layer's expectations; 0 for closed forms.
    """

    nngp: Array
    layer_ntk: Array
    hidden_nngp: Array
    quadrature_error: float = 0.0

    def ntk(self, trains: str = "all") -> Array:
        """Θ^∞ over what trains: Σ_h Θ^(h).

        Args:
            trains: all (every layer), hidden (all but the output layer), last (the output layer).

        Returns:
            Shape (n, m).

        Raises:
            ValueError: `trains` is none of the three.

        >>> from widesweep.theory.activations import LINEAR
        >>> fully_connected_kernels(np.eye(2), 1, LINEAR, weight_variance=1.0).ntk("all")
        array([[2., 0.], [0., 2.]])
        """
        parts = {"all": slice(None), "hidden": slice(None, -1), "last": slice(-1, None)}
        if trains not in parts:
            raise ValueError(f"trains {trains!r} is not known; known are {', '.join(parts)}.")
        return np.asarray(self.layer_ntk[parts[trains]].sum(axis=0), dtype=np.float64)


def fully_connected_kernels(
    gram: ArrayLike,
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
    output_weight_variance: float | None = None,
) -> Kernels:
    """Θ^(h) = K^(h) ∘ Π_{l ≥ h} C_W E[σ'(z^l)σ'(z^l)'], K^(1) = C_b + C_W x·x', K^(h+1) = C_b + C_W E[σσ'].

    Convention: tangent kernels are summed over weights and biases and divided by nothing.

    Args:
        gram: inner products x·x', shape (n, n), symmetric; inputs of any norm.
        depth: L ≥ 0 hidden layers.
        activation: σ; closed form or Hermite series, see `infinite_width.duals`.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        first_weight_variance: C_W of layer 1, if different (`du` and `two_layer` have 1).
        output_weight_variance: C_W of the output layer, if different (`two_layer` has 1).

    Returns:
        All layers' kernels; 2(L + 1) arrays n × n. `infinite_ntk` keeps two.

    Raises:
        ValueError: the Gram matrix is not symmetric, a diagonal entry is negative, or an argument is out
            of range.

    Source: Jacot, Gabriel and Hongler 2018, arXiv:1806.07572, Proposition 1 and Theorem 1.

    >>> from widesweep.theory.activations import RELU
    >>> kernels = fully_connected_kernels(np.eye(2), 1, RELU, weight_variance=2.0)
    >>> kernels.nngp.round(4)
    array([[2.    , 0.6366], [0.6366, 2.    ]])
    >>> kernels.ntk("hidden")
    array([[2., 0.], [0., 2.]])
    """
    matrix = as_symmetric(gram, "gram")
    scales = scales_of_layers(
        depth, weight_variance, bias_variance, first_weight_variance, output_weight_variance
    )
    norms = np.ascontiguousarray(np.diagonal(matrix))
    layers = prepare_layers(norms, None, activation, scales, bias_variance)
    return _all_layers(matrix, layers)


def fully_connected_cross_kernels(
    gram: ArrayLike,
    row_norms_squared: ArrayLike,
    column_norms_squared: ArrayLike,
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    first_weight_variance: float | None = None,
    output_weight_variance: float | None = None,
) -> Kernels:
    """The kernels of `fully_connected_kernels` between two sets of points, such as test against training.

    Args:
        gram: x_i·x'_j, shape (n, m).
        row_norms_squared: ‖x_i‖², shape (n,).
        column_norms_squared: ‖x'_j‖², shape (m,).
        depth: L ≥ 0 hidden layers.
        activation: σ.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        first_weight_variance: C_W of layer 1, if different.
        output_weight_variance: C_W of the output layer, if different.

    Returns:
        Kernels of shape (n, m).

    Raises:
        ValueError: shapes disagree, or an argument is out of range.

    Source: as `fully_connected_kernels`.

    >>> from widesweep.theory.activations import LINEAR
    >>> fully_connected_cross_kernels([[0.5]], [1.0], [1.0], 2, LINEAR, weight_variance=1.0).ntk()
    array([[1.5]])
    """
    matrix = np.asarray(gram, dtype=np.float64)
    rows = np.asarray(row_norms_squared, dtype=np.float64)
    columns = np.asarray(column_norms_squared, dtype=np.float64)
    if matrix.shape != (rows.size, columns.size):
        raise ValueError(
            f"gram has shape {matrix.shape}; {rows.size} row and {columns.size} column norms were given."
        )
    scales = scales_of_layers(
        depth, weight_variance, bias_variance, first_weight_variance, output_weight_variance
    )
    return _all_layers(matrix, prepare_layers(rows, columns, activation, scales, bias_variance))


def infinite_ntk(
    gram: ArrayLike, depth: int, activation: Activation, *, weight_variance: float, bias_variance: float = 0.0
) -> tuple[Array, Array]:
    """The output's covariance and the full tangent kernel, keeping no layer: Θ ← K^(h+1) + C_W E[σ'σ'] ∘ Θ.

    Args:
        gram: x·x', shape (n, n), symmetric.
        depth: L ≥ 0 hidden layers.
        activation: σ.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.

    Returns:
        K^(L+1) and Θ^∞ over all parameters, each of shape (n, n); these and `gram` are all the n × n
        arrays alive.

    Raises:
        ValueError: as `fully_connected_kernels`.

    Source: as `fully_connected_kernels`.

    >>> from widesweep.theory.activations import RELU
    >>> infinite_ntk(np.eye(2), 1, RELU, weight_variance=2.0)[1].round(4)
    array([[4.    , 0.6366], [0.6366, 4.    ]])
    """
    matrix = as_symmetric(gram, "gram")
    scales = scales_of_layers(depth, weight_variance, bias_variance, None, None)
    layers = prepare_layers(
        np.ascontiguousarray(np.diagonal(matrix)), None, activation, scales, bias_variance
    )
    nngp, ntk = np.empty_like(matrix), np.empty_like(matrix)
    for rows, columns in blocks(matrix.shape, symmetric=True):
        covariances = propagate(matrix[rows, columns], rows, columns, layers)
        covariance, _ = next(covariances)
        tangent = covariance
        for covariance, slope in covariances:
            slope *= tangent
            slope += covariance
            tangent = slope
        put(nngp, rows, columns, covariance, symmetric=True)
        put(ntk, rows, columns, tangent, symmetric=True)
    return nngp, ntk


def _all_layers(gram: Array, layers: Layers) -> Kernels:
    """Fill K^(h) and Θ^(h) block by block: slopes forward, their products backward."""
    symmetric = layers.diagonals is not None
    hidden = np.empty((len(layers.weight_variances), *gram.shape))
    parts = np.empty_like(hidden)
    for rows, columns in blocks(gram.shape, symmetric=symmetric):
        covariances, slopes = zip(*propagate(gram[rows, columns], rows, columns, layers), strict=True)
        backward = np.ones_like(gram[rows, columns])
        for h in range(len(slopes) - 1, -1, -1):
            put(hidden[h], rows, columns, covariances[h], symmetric=symmetric)
            put(parts[h], rows, columns, covariances[h] * backward, symmetric=symmetric)
            if h:
                backward *= slopes[h]
    return Kernels(hidden[-1], parts, hidden, layers.error)
