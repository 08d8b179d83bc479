"""Learning curves of kernel regression from the kernel's eigenvalues and the target's coefficients.

Convention: λ_i are eigenvalues of the kernel as an operator over the distribution of the data, so that those
of a kernel matrix on N points of it, divided by N, estimate them; the v_i² add up to the noiseless E[y²].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from widesweep.theory.arrays import Array, as_symmetric


@dataclass(frozen=True)
class LearningCurve:
    """What kernel regression learns from n samples, in expectation over them.

    Args:
        kappa: κ, the effective ridge, in units of λ.
        learnabilities: L_i = λ_i/(λ_i + κ) in [0, 1], shape (modes,); they add up to n − δ/κ.
        overfitting: E₀ = n/(n − Σ L_i²) ≥ 1.
        test_error: E₀ (Σ (1 − L_i)² v_i² + σ²): mean squared error on new noisy samples, σ² included.
        train_error: (δ/(nκ))² times the test error; 0 without a ridge.
    """

    kappa: float
    learnabilities: Array
    overfitting: float
    test_error: float
    train_error: float


def learning_curve(
    eigenvalues: ArrayLike,
    coefficients: ArrayLike,
    samples: int,
    *,
    ridge: float = 0.0,
    noise_variance: float = 0.0,
) -> LearningCurve:
    """Expected errors of kernel regression: κ solves Σ_i λ_i/(λ_i + κ) + δ/κ = n.

    Without a ridge and with no more positive eigenvalues than samples, everything is learnt: κ = 0, and the
    test error is that of noise alone, n/(n − modes) σ².

    Args:
        eigenvalues: λ_i ≥ 0, shape (modes,).
        coefficients: v_i, shape (modes,), or (modes, outputs), whose squares are summed.
        samples: n ≥ 1.
        ridge: δ ≥ 0, added to the diagonal of the kernel matrix of the samples.
        noise_variance: σ² of the labels, summed over outputs.

    Returns:
        Errors summed over outputs, each a mean over the data, with no factor ½.

    Raises:
        ValueError: an argument is negative or not finite, or the shapes disagree.

    Source: Simon, Dickens, Karkada and DeWeese 2023, arXiv:2110.03922, the eigenlearning equations.

    >>> curve = learning_curve([1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], samples=2)
    >>> round(curve.kappa, 12), curve.learnabilities.round(12), round(curve.test_error, 12)
    (1.0, array([0.5, 0.5, 0.5, 0.5]), 0.5)
    """
    spectrum, power = _checked(eigenvalues, coefficients, samples, ridge, noise_variance)
    kappa = _effective_ridge(spectrum, samples, ridge)
    learnt = np.where(spectrum > 0.0, spectrum / np.where(spectrum > 0.0, spectrum + kappa, 1.0), 0.0)
    left = samples - float(np.square(learnt).sum())
    overfitting = samples / left if left > 0.0 else np.inf
    missed = float(np.square(1.0 - learnt) @ power) + noise_variance
    test = overfitting * missed if missed else 0.0
    share = ridge / (samples * kappa) if kappa else float(left / samples)
    return LearningCurve(kappa, learnt, overfitting, test, share**2 * test if np.isfinite(test) else 0.0)


def kernel_spectrum(kernel: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """λ_i = eigenvalues of K/N and v_i = u_iᵀy/√N: what `learning_curve` takes, from N points of the source.

    Args:
        kernel: K on the source, shape (N, N), symmetric positive semidefinite; rounding below 0 becomes 0.
        targets: y there, shape (N,) or (N, outputs).

    Returns:
        Eigenvalues in descending order, shape (N,), and coefficients, (N,) or (N, outputs).

    Raises:
        ValueError: K is not symmetric, or the shapes disagree.

    Source: Simon et al. 2023, arXiv:2110.03922, the section on real data.

    >>> kernel_spectrum([[2.0, 0.0], [0.0, 4.0]], [1.0, 3.0])
    (array([2., 1.]), array([2.12132034, 0.70710678]))
    """
    matrix, y = as_symmetric(kernel, "kernel"), np.asarray(targets, dtype=np.float64)
    if y.shape[:1] != matrix.shape[:1]:
        raise ValueError(f"targets have shape {y.shape}; the kernel has {len(matrix)} points.")
    values, vectors = np.linalg.eigh(matrix)
    coefficients = vectors.T @ y / np.sqrt(len(matrix))
    return np.maximum(values[::-1], 0.0) / len(matrix), np.ascontiguousarray(coefficients[::-1])


def _checked(
    eigenvalues: ArrayLike, coefficients: ArrayLike, samples: int, ridge: float, noise_variance: float
) -> tuple[Array, Array]:
    """Eigenvalues and squared coefficients, each of shape (modes,)."""
    spectrum = np.asarray(eigenvalues, dtype=np.float64)
    values = np.asarray(coefficients, dtype=np.float64)
    if spectrum.ndim != 1 or not spectrum.size or values.shape[:1] != spectrum.shape:
        raise ValueError(
            f"eigenvalues have shape {spectrum.shape} and coefficients {values.shape}; "
            "one coefficient, or one row of them, belongs to each eigenvalue."
        )
    if not (np.isfinite(spectrum).all() and spectrum.min() >= 0.0 and np.isfinite(values).all()):
        raise ValueError("eigenvalues are finite and not negative, and coefficients are finite.")
    if samples < 1:
        raise ValueError(f"{samples} samples; a learning curve begins at 1.")
    for name, value in (("ridge", ridge), ("noise_variance", noise_variance)):
        if not 0.0 <= value < np.inf:
            raise ValueError(f"{name} is {value}; it is finite and not negative.")
    return spectrum, np.square(values).reshape(len(spectrum), -1).sum(axis=1)


def _effective_ridge(spectrum: Array, samples: int, ridge: float) -> float:
    """κ, by bisection in log κ; 0 where the samples determine every mode."""
    if ridge == 0.0 and np.count_nonzero(spectrum) <= samples:
        return 0.0

    def excess(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return float((spectrum / (spectrum + kappa)).sum() + ridge / kappa - samples)

    high = np.log((spectrum.sum() + ridge) / samples)  # since Σ λ/(λ + κ) ≤ Σ λ/κ
    positive = spectrum[spectrum > 0.0]
    low = min(high, np.log(ridge / samples) if ridge else np.log(positive.min())) - 1.0
    while excess(low) < 0.0:
        low -= 10.0
    return float(np.exp(brentq(excess, low, high + 1e-9, xtol=1e-14, rtol=1e-14)))
