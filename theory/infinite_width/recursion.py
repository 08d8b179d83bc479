"""The layer recursion of a fully connected kernel, one block of entries at a time.

An entry needs only its own covariance and two variances, so a block runs through all layers in cache; a
symmetric kernel is computed above the diagonal and mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.infinite_width.duals import PreparedDual, prepare_dual, second_moments

BLOCK_ENTRIES = 1 << 15  # 256 KiB of float64: an array of a block stays in cache


@dataclass(frozen=True)
class Layers:
    """What every block needs.

    Args:
        weight_variances: C_W of layers 1 … L + 1.
        bias_variance: C_b.
        duals: one for each hidden layer.
        diagonals: K^(h) on the diagonal, layers 1 … L + 1, each (n,); None between two sets of points.
    """

    weight_variances: tuple[float, ...]
    bias_variance: float
    duals: tuple[PreparedDual, ...]
    diagonals: tuple[Array, ...] | None

    @property
    def error(self) -> float:
        """Largest quadrature error of one layer's expectations."""
        return max((prepared.error for prepared in self.duals), default=0.0)


def scales_of_layers(
    depth: int, weight: float, bias: float, first: float | None, output: float | None
) -> tuple[float, ...]:
    """C_W of layers 1 … L + 1, checked.

    Args:
        depth: L.
        weight: C_W.
        bias: C_b.
        first: C_W of layer 1, or None for `weight`.
        output: C_W of the output layer, or None for `weight`.

    Returns:
        L + 1 numbers.

    Raises:
        ValueError: an argument is out of range.

    >>> scales_of_layers(2, 2.0, 0.0, 1.0, None)
    (1.0, 2.0, 2.0)
    """
    if depth < 0:
        raise ValueError(f"depth {depth}: the number of hidden layers is 0 or more.")
    scales = [weight] * (depth + 1)
    scales[0] = weight if first is None else first
    if output is not None:
        scales[-1] = output
    if not all(np.isfinite(scale) and scale > 0.0 for scale in scales) or not 0.0 <= bias < np.inf:
        raise ValueError(f"weight variances {scales} must be positive and bias_variance {bias} not negative.")
    return tuple(scales)


def prepare_layers(
    rows: Array, columns: Array | None, activation: Activation, scales: tuple[float, ...], bias: float
) -> Layers:
    """Run the variances through the layers and prepare each layer's dual.

    Args:
        rows: ‖x‖², shape (n,).
        columns: ‖x'‖², shape (m,); None for a set of points with itself.
        activation: σ.
        scales: C_W of layers 1 … L + 1.
        bias: C_b.

    Returns:
        What `propagate` needs.

    Raises:
        ValueError: a squared norm is negative.

    >>> from widesweep.theory.activations import RELU
    >>> prepare_layers(np.ones(1), None, RELU, (2.0, 2.0), 0.5).diagonals
    (array([2.5]), array([3.]))
    """
    if min(rows.min(initial=0.0), 0.0 if columns is None else columns.min(initial=0.0)) < 0.0:
        raise ValueError("a squared norm is negative; the diagonal of a Gram matrix holds ‖x‖² ≥ 0.")
    sides = [bias + scales[0] * side for side in ((rows,) if columns is None else (rows, columns))]
    duals, diagonals = [], [sides[0]]
    for scale in scales[1:]:
        duals.append(prepare_dual(activation, sides[0], sides[-1]))
        sides = [bias + scale * second_moments(activation, side)[0] for side in sides]
        diagonals.append(sides[0])
    return Layers(scales, bias, tuple(duals), tuple(diagonals) if columns is None else None)


def propagate(gram: Array, rows: slice, columns: slice, layers: Layers) -> Iterator[tuple[Array, Array]]:
    """K^(h) and C_W E[σ'σ'] of the layer before, on one block, for h = 1 … L + 1.

    Args:
        gram: x·x' on the block.
        rows: the block's rows.
        columns: the block's columns; where they start with the rows, the block holds a piece of the diagonal.
        layers: from `prepare_layers`.

    Yields:
        Covariance and slope, arrays of the block's shape; the first slope is empty.

    >>> from widesweep.theory.activations import LINEAR
    >>> layers = prepare_layers(np.ones(1), None, LINEAR, (1.0, 3.0), 0.0)
    >>> [float(k[0, 0]) for k, _ in propagate(np.ones((1, 1)), slice(0, 1), slice(0, 1), layers)]
    [1.0, 3.0]
    """
    covariance = layers.bias_variance + layers.weight_variances[0] * gram
    _set_diagonal(covariance, rows, columns, layers, 0)
    yield covariance, np.empty(0)
    for h, (scale, prepared) in enumerate(
        zip(layers.weight_variances[1:], layers.duals, strict=True), start=1
    ):
        covariance, slope = prepared.evaluate(rows, columns, covariance, scale)
        covariance += layers.bias_variance
        _set_diagonal(covariance, rows, columns, layers, h)
        yield covariance, slope


def _set_diagonal(block: Array, rows: slice, columns: slice, layers: Layers, layer: int) -> None:
    """Put the exact variances on the diagonal: one unit of rounding there would be 1e-8 in the next angle."""
    if layers.diagonals is not None and columns.start == rows.start:
        count = rows.stop - rows.start
        block[np.arange(count), np.arange(count)] = layers.diagonals[layer][rows]


def blocks(shape: tuple[int, ...], *, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    """Row blocks of about BLOCK_ENTRIES entries; from the diagonal on to the right if symmetric.

    Args:
        shape: (n, m).
        symmetric: whether what lies below the diagonal is left to `put`.

    Yields:
        Rows and columns of each block.

    >>> list(blocks((2, 3), symmetric=False))
    [(slice(0, 2, None), slice(0, 3, None))]
    """
    start = 0
    while start < shape[0]:
        first = start if symmetric else 0
        stop = min(shape[0], start + max(1, BLOCK_ENTRIES // max(1, shape[1] - first)))
        yield slice(start, stop), slice(first, shape[1])
        start = stop


def put(matrix: Array, rows: slice, columns: slice, block: Array, *, symmetric: bool) -> None:
    """Write a block to its place, and what lies right of its square to the other side of the diagonal.

    Args:
        matrix: shape (n, m).
        rows: the block's rows.
        columns: its columns.
        block: its entries; those of a symmetric matrix's square below the diagonal are taken from above it.
        symmetric: whether the matrix is, and its blocks begin at the diagonal.

    >>> matrix = np.zeros((3, 3))
    >>> put(matrix, slice(0, 2), slice(0, 3), np.array([[1.0, 2.0, 3.0], [0.0, 4.0, 5.0]]), symmetric=True)
    >>> matrix
    array([[1., 2., 3.],
           [2., 4., 5.],
           [3., 5., 0.]])
    """
    matrix[rows, columns] = block
    if symmetric:
        count = rows.stop - rows.start
        matrix[rows.stop :, rows] = block[:, count:].T
        square = block[:, :count]
        matrix[rows, rows] = np.triu(square) + np.triu(square, 1).T
