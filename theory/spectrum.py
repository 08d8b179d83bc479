"""Eigenvalues of kernels, with the rounding error that decides whether λ_min is distinguishable from 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.arrays import Array, as_symmetric


@dataclass(frozen=True)
class Spectrum:
    """A kernel's eigendecomposition A = Σ_i λ_i v_i v_iᵀ, computed once for all that is asked of it.

    Args:
        eigenvalues: λ_1 ≤ … ≤ λ_n, shape (n,).
        vectors: v_i as columns, in their order, shape (n, n).
        error: bound on the rounding error of each λ_i.
    """

    eigenvalues: Array
    vectors: Array
    error: float


def decomposition(matrix: ArrayLike | Spectrum) -> Spectrum:
    """Eigenvalues and eigenvectors of a kernel, and the error nε‖A‖₂ of its eigenvalues.

    Args:
        matrix: A, shape (n, n), symmetric; a spectrum is returned as it is.

    Returns:
        The spectrum.

    Raises:
        ValueError: A is not symmetric to 1e-10 of its largest entry.

    Source: Golub and Van Loan, Matrix Computations, symmetric eigenvalue problem (Weyl's inequality).

    >>> found = decomposition([[2.0, 1.0], [1.0, 2.0]])
    >>> found.eigenvalues.round(12), abs(found.vectors).round(4)[0]
    (array([1., 3.]), array([0.7071, 0.7071]))
    """
    if isinstance(matrix, Spectrum):
        return matrix
    eigenvalues, vectors = np.linalg.eigh(as_symmetric(matrix, "matrix"))
    return Spectrum(eigenvalues, vectors, _rounding_error(eigenvalues))


def _rounding_error(eigenvalues: Array) -> float:
    return eigenvalues.size * float(np.finfo(np.float64).eps) * float(np.abs(eigenvalues).max())


def eigenvalues_with_error(matrix: ArrayLike, *, entry_error: float = 0.0) -> tuple[Array, float]:
    """Eigenvalues λ_1 ≤ … ≤ λ_n and a bound on the error of each: n(ε‖A‖₂ + entry_error).

    A symmetric eigensolver is backward stable, and by Weyl's inequality no eigenvalue moves by more than
    the norm of a perturbation. A λ_min below the bound is indistinguishable from 0, and no rate may be
    derived from it.

    Args:
        matrix: A, shape (n, n), symmetric.
        entry_error: bound on the absolute error of the entries themselves, such as
            `Kernels.quadrature_error`.

    Returns:
        Eigenvalues in ascending order, shape (n,), and the error bound.

    Raises:
        ValueError: A is not symmetric to 1e-10 of its largest entry.

    Source: Golub and Van Loan, Matrix Computations, symmetric eigenvalue problem (Weyl's inequality).

    >>> eigenvalues, error = eigenvalues_with_error([[2.0, 1.0], [1.0, 2.0]])
    >>> eigenvalues.round(12), error < 1e-14
    (array([1., 3.]), True)
    """
    symmetric = as_symmetric(matrix, "matrix")
    eigenvalues = np.asarray(np.linalg.eigvalsh(symmetric), dtype=np.float64)
    return eigenvalues, _rounding_error(eigenvalues) + symmetric.shape[0] * entry_error
