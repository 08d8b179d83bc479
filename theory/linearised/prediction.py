"""Outputs of the linearised model on new points: along training, and at its end as kernel regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.arrays import Array
from widesweep.theory.linearised.dynamics import mode_factors
from widesweep.theory.spectrum import decomposition


def output_trajectory(
    ntk: ArrayLike,
    ntk_cross: ArrayLike,
    targets: ArrayLike,
    learning_rate: float,
    steps: ArrayLike,
    *,
    output_0: ArrayLike = 0.0,
    cross_output_0: ArrayLike = 0.0,
) -> Array:
    """Linearised outputs on other points: f_*(k) = f_*(0) + Θ_* Θ⁻¹ (I − (I − ηΘ)^k)(y − f(0)).

    Written by modes with (1 − (1 − ηλ)^k)/λ, which tends to ηk as λ → 0: no inverse is taken.

    Args:
        ntk: Θ on the training points, shape (n, n), symmetric.
        ntk_cross: Θ_* between new and training points, shape (t, n); pass `ntk` for the training outputs.
        targets: y, shape (n,) or (n, outputs).
        learning_rate: η > 0.
        steps: k, shape (steps,).
        output_0: f(0) on the training points, the shape of `targets`.
        cross_output_0: f_*(0), shape (t,) or (t, outputs).

    Returns:
        Shape (steps, t) or (steps, t, outputs).

    Raises:
        ValueError: Θ is not symmetric, or shapes disagree.

    Source: Lee et al. 2019, arXiv:1902.06720, the linearised model's outputs on test points, for discrete
    steps.

    >>> output_trajectory(np.eye(2), [[0.5, 0.0]], [1.0, -1.0], 0.5, [0, 1, 100])
    array([[0.  ], [0.25], [0.5 ]])
    """
    spectrum = decomposition(ntk)
    eigenvalues, vectors = spectrum.eigenvalues, spectrum.vectors
    gap = np.asarray(targets, dtype=np.float64) - np.asarray(output_0, dtype=np.float64)
    modes = vectors.T @ gap.reshape(eigenvalues.size, -1)  # (n, outputs)
    left = np.asarray(ntk_cross, dtype=np.float64) @ vectors  # (t, n)
    gains = _learned(eigenvalues, learning_rate, steps)  # (steps, n)
    moved = np.einsum("ti,ki,io->kto", left, gains, modes, optimize=True)
    shape = (gains.shape[0], left.shape[0], *gap.shape[1:])
    return np.asarray(moved.reshape(shape) + np.asarray(cross_output_0, dtype=np.float64))


def _learned(eigenvalues: Array, learning_rate: float, steps: ArrayLike) -> Array:
    """(1 − (1 − ηλ)^k)/λ, shape (steps, n), without cancellation for small ηλ."""
    k = np.asarray(steps, dtype=np.float64).reshape(-1, 1)
    product = learning_rate * eigenvalues
    small = np.abs(product) < 0.5
    lost = np.where(
        small,
        -np.expm1(k * np.log1p(-np.where(small, product, 0.0))),
        1.0 - mode_factors(eigenvalues, learning_rate, steps),
    )
    tiny = np.abs(product) < 1e-300
    return np.where(tiny, learning_rate * k, lost / np.where(tiny, 1.0, eigenvalues))


def kernel_regression(
    ntk: ArrayLike, ntk_cross: ArrayLike, targets: ArrayLike, *, ridge: float = 0.0
) -> Array:
    """f_* = Θ_* (Θ + ρI)⁻¹ y: where training from f(0) = 0 ends (ρ = 0).

    Modes whose λ + ρ lies below the rounding error of the spectrum are left out: their part of y is not
    learnable in float64, as it is not by gradient descent in any number of steps that can be run.

    Args:
        ntk: Θ, shape (n, n), symmetric.
        ntk_cross: Θ_*, shape (t, n).
        targets: y, shape (n,) or (n, outputs).
        ridge: ρ ≥ 0, in units of Θ.

    Returns:
        Shape (t,) or (t, outputs).

    Raises:
        ValueError: Θ is not symmetric, or ρ is negative.

    Source: Jacot, Gabriel and Hongler 2018, arXiv:1806.07572, kernel regression as the end of training.

    >>> kernel_regression([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], [4.0, 1.0])
    array([2.])
    """
    if ridge < 0.0:
        raise ValueError(f"ridge {ridge} is negative; 0 interpolates, more smooths.")
    spectrum = decomposition(ntk)
    vectors, shifted = spectrum.vectors, spectrum.eigenvalues + ridge
    seen = shifted > spectrum.error
    inverse = np.where(seen, 1.0 / np.where(seen, shifted, 1.0), 0.0)
    modes = vectors.T @ np.asarray(targets, dtype=np.float64)
    weighted = (inverse * modes.T).T
    return np.asarray(np.asarray(ntk_cross, dtype=np.float64) @ (vectors @ weighted), dtype=np.float64)
