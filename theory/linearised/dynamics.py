"""Training in the linearised model by gradient descent: through the spectrum, at any step, without a loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.arrays import Array, as_symmetric
from widesweep.theory.spectrum import Spectrum, decomposition


def critical_learning_rate(lambda_max: float) -> float:
    """The learning rate above which gradient descent diverges: η_c = 2/λ_max.

    Args:
        lambda_max: largest eigenvalue of the tangent kernel, > 0.

    Returns:
        η_c.

    Raises:
        ValueError: λ_max is not positive.

    Source: gradient descent on a quadratic; Lee et al. 2019, arXiv:1902.06720, η_critical up to its 1/n in
    the loss.

    >>> critical_learning_rate(4.0)
    0.5
    """
    if not lambda_max > 0.0:
        raise ValueError(f"lambda_max {lambda_max}: a tangent kernel that trains has a positive one.")
    return 2.0 / float(lambda_max)


def rate_per_step(learning_rate: ArrayLike, eigenvalue: ArrayLike) -> Array:
    """Decay rate of one mode's residual per step: −log|1 − ηλ|.

    Args:
        learning_rate: η > 0, any shape.
        eigenvalue: λ ≥ 0, broadcastable against η.

    Returns:
        Rates; negative where the mode grows (ηλ > 2), inf where one step removes it (ηλ = 1).

    Source: the eigenvalues of I − ηΘ.

    >>> rate_per_step(0.5, np.array([1.0, 0.0, 2.0])).round(4)
    array([0.6931, 0.    ,    inf])
    """
    return 0.0 - _log_factor(np.asarray(learning_rate, np.float64), np.asarray(eigenvalue, np.float64))


def residual_norm(
    ntk: ArrayLike | Spectrum, residual_0: ArrayLike, learning_rate: float, steps: ArrayLike
) -> Array:
    """Residual of linearised gradient descent: ‖(I − ηΘ)^k r(0)‖₂.

    Convention: loss = ½ Σ_i (f(x_i) − y_i)²; Θ is summed over parameters and divided by nothing.

    Args:
        ntk: Θ on the training points, shape (n, n), symmetric positive semidefinite, or its spectrum.
        residual_0: f − y at initialisation, shape (n,), or (n, outputs) where outputs share Θ.
        learning_rate: η > 0; converges iff η λ_max < 2.
        steps: k, shape (steps,), numbers ≥ 0.

    Returns:
        Residual norms, shape (steps,).

    Raises:
        ValueError: Θ is not symmetric to 1e-10 of its largest entry, or shapes disagree.

    Source: Arora et al. 2019, arXiv:1901.08584, the trajectory theorem.

    >>> residual_norm(np.diag([1.0, 2.0]), np.array([1.0, 0.0]), 0.5, np.array([0, 1, 2]))
    array([1.  , 0.5 , 0.25])
    """
    spectrum = decomposition(ntk)
    residual = np.asarray(residual_0, dtype=np.float64)
    power = np.square(spectrum.vectors.T @ residual.reshape(spectrum.eigenvalues.size, -1)).sum(axis=1)
    return _norm_of_modes(spectrum.eigenvalues, power, learning_rate, steps)


def mean_initial_power(ntk: ArrayLike | Spectrum, nngp: ArrayLike, targets: ArrayLike) -> Array:
    """Mean square of the initial residual on each eigenvector: E(v_iᵀ(f₀ − y))² = v_iᵀKv_i + (v_iᵀy)².

    Args:
        ntk: Θ on the training points, shape (n, n), or its spectrum.
        nngp: K, the covariance of an output at initialisation, shape (n, n); zeros for a centred network.
        targets: y, shape (n,), or (n, outputs) where independent outputs share Θ and K: their sum.

    Returns:
        Shape (n,), in units of the targets squared, in the order of the eigenvalues.

    Raises:
        ValueError: a kernel is not symmetric, or shapes disagree.

    Source: the second moment of a Gaussian in the eigenbasis of Θ.

    >>> mean_initial_power(np.diag([1.0, 2.0]), np.eye(2), [0.0, 3.0])
    array([ 1., 10.])
    """
    vectors = decomposition(ntk).vectors
    spread = np.maximum(np.einsum("ij,ij->j", vectors, as_symmetric(nngp, "nngp") @ vectors), 0.0)
    modes = vectors.T @ np.asarray(targets, dtype=np.float64).reshape(len(vectors), -1)
    return np.asarray(modes.shape[1] * spread + np.square(modes).sum(axis=1))


def mean_residual_norm(
    ntk: ArrayLike | Spectrum, nngp: ArrayLike, targets: ArrayLike, learning_rate: float, steps: ArrayLike
) -> Array:
    """Root of the mean squared residual over random initial outputs: (E‖(I − ηΘ)^k (f₀ − y)‖²)^½, f₀ ~
    N(0, K).

    Args:
        ntk: Θ on the training points, shape (n, n), or its spectrum.
        nngp: K, the covariance of an output at initialisation, shape (n, n); zeros for a centred network.
        targets: y, shape (n,), or (n, outputs) where independent outputs share Θ and K.
        learning_rate: η > 0.
        steps: k, shape (steps,).

    Returns:
        Shape (steps,), in units of the targets.

    Raises:
        ValueError: a kernel is not symmetric, or shapes disagree.

    Source: Lee et al. 2019, arXiv:1902.06720: the linearised outputs are Gaussian; their second moment, by
    modes.

    >>> mean_residual_norm(np.eye(2), np.eye(2), np.array([1.0, 1.0]), 0.5, np.array([0, 1]))
    array([2., 1.])
    """
    spectrum = decomposition(ntk)
    power = mean_initial_power(spectrum, nngp, targets)
    return _norm_of_modes(spectrum.eigenvalues, power, learning_rate, steps)


def _log_factor(learning_rate: Array, eigenvalue: Array) -> Array:
    """log|1 − ηλ|, accurate for small ηλ; −inf where ηλ = 1."""
    product = learning_rate * eigenvalue
    small = np.abs(product) < 0.5
    with np.errstate(divide="ignore"):
        return np.where(small, np.log1p(-np.where(small, product, 0.0)), np.log(np.abs(1.0 - product)))


def _norm_of_modes(eigenvalues: Array, power: Array, learning_rate: float, steps: ArrayLike) -> Array:
    """(Σ_i |1 − ηλ_i|^{2k} power_i)^½ for each k; the sum is over modes, shape (steps,)."""
    factors = mode_factors(eigenvalues, learning_rate, steps)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.square(factors) @ power)
    return np.where(np.isnan(norms), np.inf, norms)


def mode_factors(eigenvalues: ArrayLike, learning_rate: float, steps: ArrayLike) -> Array:
    """(1 − ηλ_i)^k for every step and mode, with its sign.

    Args:
        eigenvalues: λ, shape (n,).
        learning_rate: η.
        steps: k, shape (steps,), integers ≥ 0 where 1 − ηλ < 0.

    Returns:
        Shape (steps, n); ±inf on overflow of a diverging mode.

    >>> mode_factors([1.0, 3.0], 0.5, [0, 1, 2])
    array([[ 1.  ,  1.  ], [ 0.5 , -0.5 ], [ 0.25,  0.25]])
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    k = np.asarray(steps, dtype=np.float64).reshape(-1, 1)
    logs = _log_factor(np.float64(learning_rate) * np.ones(1), values)[None, :]
    with np.errstate(over="ignore", invalid="ignore"):
        exponents = np.where(k == 0.0, 0.0, k * logs)
        sizes = np.exp(exponents)
    negative = (learning_rate * values > 1.0)[None, :] & (np.mod(k, 2.0) == 1.0)
    return np.where(negative, -sizes, sizes)
