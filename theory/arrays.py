"""The array types of this room and the checks that several of its functions share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SYMMETRY_TOLERANCE = 1e-10  # of the largest entry
CHECKED_ROWS = 16  # at once: what is subtracted stays in cache


def as_symmetric(matrix: ArrayLike, name: str) -> Array:
    """Return `matrix` as a finite, square, symmetric float64 array.

    Args:
        matrix: shape (n, n).
        name: what to call it in a message.

    Returns:
        The same numbers, shape (n, n), float64.

    Raises:
        ValueError: not square, not finite, or asymmetric by more than 1e-10 of its largest entry.

    >>> as_symmetric([[1, 2], [2, 1]], "gram")
    array([[1., 2.], [2., 1.]])
    """
    result = np.asarray(matrix, dtype=np.float64)
    if result.ndim != 2 or result.shape[0] != result.shape[1] or result.size == 0:
        raise ValueError(f"{name} has shape {result.shape}; a square, non-empty matrix is wanted.")
    largest = max(float(result.max()), -float(result.min()))
    if not np.isfinite(largest):
        raise ValueError(f"{name} holds entries that are not finite; check the data for nan or inf.")
    spans = [slice(first, first + CHECKED_ROWS) for first in range(0, len(result), CHECKED_ROWS)]
    asymmetry = max(float(np.abs(result[rows] - result[:, rows].T).max()) for rows in spans)
    if asymmetry > SYMMETRY_TOLERANCE * largest:
        raise ValueError(
            f"{name} is asymmetric by {asymmetry:.2g} with largest entry {largest:.2g}; "
            "a kernel of a set of points with itself is symmetric."
        )
    return result
