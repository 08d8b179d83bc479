"""Kernels of one hidden layer, f = (1/√m) Σ_r a_r σ(w_r·x), w ~ N(0, I), a = ±1, by what trains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.activations import RELU, Activation
from widesweep.theory.arrays import Array, as_symmetric
from widesweep.theory.infinite_width.duals import dual


def hidden_weights_kernel(gram: ArrayLike, activation: Activation = RELU) -> Array:
    """H^∞_ij = x_i·x_j E[σ'(w·x_i)σ'(w·x_j)]; for ReLU x_i·x_j(π − arccos(cos_ij))/2π.

    Args:
        gram: x_i·x_j, shape (n, n), symmetric.
        activation: σ.

    Returns:
        The tangent kernel of W with a fixed, shape (n, n).

    Raises:
        ValueError: the Gram matrix is not symmetric.

    Source: Du et al. 2018, arXiv:1810.02054, Definition of H^∞; Arora et al. 2019, arXiv:1901.08584.

    >>> hidden_weights_kernel([[1.0, 0.5], [0.5, 1.0]]).round(4)
    array([[0.5   , 0.1667], [0.1667, 0.5   ]])
    """
    matrix = as_symmetric(gram, "gram")
    return matrix * _slopes(matrix, activation)


def random_features_kernel(gram: ArrayLike, activation: Activation = RELU) -> Array:
    """E[σ(w·x_i)σ(w·x_j)], w ~ N(0, I): the limit of ΦΦᵀ/m, Φ = σ(XWᵀ), when only the output weights train.

    Args:
        gram: x_i·x_j, shape (n, n), symmetric.
        activation: σ.

    Returns:
        Shape (n, n).

    Raises:
        ValueError: the Gram matrix is not symmetric.

    Source: Cho and Saul 2009 for ReLU; Rahimi and Recht 2007 for random features.

    >>> random_features_kernel(np.eye(2)).round(4)
    array([[0.5   , 0.1592], [0.1592, 0.5   ]])
    """
    matrix = as_symmetric(gram, "gram")
    variances = np.diagonal(matrix)
    return dual(activation, variances, variances, matrix)[0]


def multiclass_kernel(gram: ArrayLike, activation: Activation, outputs: int) -> Array:
    """Σ(X) = I_K ⊗ E[φ'(Xw)φ'(Xw)ᵀ ∘ XXᵀ], w ~ N(0, I), for f = Vφ(Wx) with W trained.

    Convention: class-major, entry (c·n + i, c'·n + j); E[JJᵀ] = k Var(V_cr) Σ(X) for k hidden neurons.

    Args:
        gram: XXᵀ, shape (n, n), symmetric.
        activation: φ.
        outputs: K ≥ 1 classes.

    Returns:
        Shape (K n, K n).

    Raises:
        ValueError: K below 1, or the Gram matrix is not symmetric.

    Source: Oymak et al. 2019, arXiv:1906.05392, the multiclass neural tangent kernel.

    >>> multiclass_kernel([[1.0]], RELU, 2)
    array([[0.5, 0. ], [0. , 0.5]])
    """
    if outputs < 1:
        raise ValueError(f"outputs {outputs}: a network has at least one.")
    return np.asarray(np.kron(np.eye(outputs), hidden_weights_kernel(gram, activation)), dtype=np.float64)


def _slopes(matrix: Array, activation: Activation) -> Array:
    variances = np.diagonal(matrix)
    return dual(activation, variances, variances, matrix)[1]
