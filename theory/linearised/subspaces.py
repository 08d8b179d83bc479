"""What a spectrum says about labels: information and nuisance subspaces, effective rank, alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.arrays import Array, as_symmetric


@dataclass(frozen=True)
class Subspaces:
    """The outputs split by a cut-off on the Jacobian's singular values.

    Args:
        singular_values: λ_s ≥ 0 in descending order, shape (n,).
        basis: left singular vectors u_s as columns, the same order, shape (n, n).
        rank: how many λ_s reach the cut-off: the dimension of the information space.
        cutoff: α.
    """

    singular_values: Array
    basis: Array
    rank: int
    cutoff: float

    def norms(self, vectors: ArrayLike) -> tuple[Array, Array]:
        """‖Π_I v‖₂ and ‖Π_N v‖₂.

        Args:
            vectors: v, shape (n,) or (n, k), k vectors as columns.

        Returns:
            Two arrays of shape () or (k,).

        >>> split_spectrum(np.diag([4.0, 0.01]), 1.0).norms([3.0, 5.0])
        (array(3.), array(5.))
        """
        coefficients = self.basis.T @ np.asarray(vectors, dtype=np.float64)
        information = np.linalg.norm(coefficients[: self.rank], axis=0)
        return np.asarray(information), np.asarray(np.linalg.norm(coefficients[self.rank :], axis=0))


def split_spectrum(kernel: ArrayLike, cutoff: float) -> Subspaces:
    """Information space {u_s: λ_s ≥ α} and nuisance space of J from JJᵀ, λ_s = √eigenvalue.

    The cut-off is on singular values of J, not on eigenvalues of the kernel: α² there.

    Args:
        kernel: JJᵀ or its limit, shape (n, n), symmetric positive semidefinite.
        cutoff: α > 0.

    Returns:
        The split.

    Raises:
        ValueError: the kernel is not symmetric, or α is not positive.

    Source: Oymak et al. 2019, arXiv:1906.05392, information and nuisance spaces.

    >>> split_spectrum(np.diag([9.0, 1.0]), 2.0).rank
    1
    """
    if not cutoff > 0.0:
        raise ValueError(f"cutoff {cutoff}: a singular value above 0 is wanted.")
    eigenvalues, vectors = np.linalg.eigh(as_symmetric(kernel, "kernel"))
    singular = np.sqrt(np.maximum(eigenvalues[::-1], 0.0))
    basis = np.ascontiguousarray(vectors[:, ::-1])
    return Subspaces(singular, basis, int(np.count_nonzero(singular >= cutoff)), float(cutoff))


def effective_rank(kernel: ArrayLike) -> float:
    """exp(−Σ p_i log p_i), p_i = λ_i/Σλ: n equal eigenvalues give n, one gives 1.

    Args:
        kernel: shape (n, n), symmetric positive semidefinite; eigenvalues below 0 by rounding count as 0.

    Returns:
        A number from 1 to n.

    Raises:
        ValueError: the kernel is not symmetric, or is 0.

    Source: Roy and Vetterli 2007, effective rank.

    >>> round(effective_rank(np.eye(3)), 10)
    3.0
    """
    eigenvalues = np.maximum(np.linalg.eigvalsh(as_symmetric(kernel, "kernel")), 0.0)
    if not eigenvalues.sum() > 0.0:
        raise ValueError("kernel is 0; it has no effective rank.")
    share = eigenvalues[eigenvalues > 0.0] / eigenvalues.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def label_energy(kernel: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Share of the labels on each eigenvector, (v_iᵀy)²/‖y‖², largest eigenvalue first.

    Args:
        kernel: shape (n, n), symmetric.
        targets: y, shape (n,), not 0.

    Returns:
        Eigenvalues in descending order and shares that sum to 1, each of shape (n,).

    Raises:
        ValueError: the kernel is not symmetric, or y is 0.

    Source: Arora et al. 2019, arXiv:1901.08584: large shares on large eigenvalues train fast and generalise.

    >>> label_energy(np.diag([1.0, 3.0]), [3.0, 4.0])[1]
    array([0.64, 0.36])
    """
    eigenvalues, vectors = np.linalg.eigh(as_symmetric(kernel, "kernel"))
    y = np.asarray(targets, dtype=np.float64)
    energy = np.square(vectors.T @ y)[::-1]
    if not energy.sum() > 0.0:
        raise ValueError("targets are all 0; they have no direction.")
    return eigenvalues[::-1].copy(), energy / energy.sum()


def kernel_alignment(kernel: ArrayLike, targets: ArrayLike) -> float:
    """yᵀKy/(‖K‖_F ‖y‖²), in [0, 1] for K positive semidefinite.

    Args:
        kernel: K, shape (n, n), symmetric, not 0.
        targets: y, shape (n,), not 0.

    Returns:
        The cosine between K and yyᵀ.

    Raises:
        ValueError: the kernel is not symmetric.

    Source: Cristianini et al. 2001, kernel-target alignment.

    >>> kernel_alignment([[1.0, 1.0], [1.0, 1.0]], [2.0, 2.0])
    1.0
    """
    matrix = as_symmetric(kernel, "kernel")
    y = np.asarray(targets, dtype=np.float64)
    return float(y @ matrix @ y / (np.linalg.norm(matrix) * (y @ y)))
