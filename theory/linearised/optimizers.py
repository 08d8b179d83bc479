"""Other ways to train the linearised model: gradient flow, Nesterov, Langevin; time to a tolerance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.arrays import Array
from widesweep.theory.linearised.dynamics import mode_factors
from widesweep.theory.spectrum import Spectrum, decomposition


def gradient_flow_residual_norm(ntk: ArrayLike, residual_0: ArrayLike, flow_time: ArrayLike) -> Array:
    """Residual under gradient flow: ‖e^{−Θt} r(0)‖₂; gradient descent follows it at t = ηk for ηλ_max ≪ 1.

    Args:
        ntk: Θ, shape (n, n), symmetric.
        residual_0: r(0), shape (n,).
        flow_time: t ≥ 0, shape (times,), in units of 1/Θ.

    Returns:
        Shape (times,).

    Raises:
        ValueError: Θ is not symmetric.

    Source: du/dt = −Θ(u − y) for the loss ½Σ(f − y)².

    >>> gradient_flow_residual_norm(np.eye(1), [1.0], [0.0, 1.0]).round(6)
    array([1.      , 0.367879])
    """
    eigenvalues, modes = _modes(ntk, residual_0)
    times = np.asarray(flow_time, dtype=np.float64).reshape(-1, 1)
    return np.asarray(np.sqrt(np.exp(-2.0 * times * eigenvalues) @ np.square(modes)), dtype=np.float64)


def nesterov_momentum(condition_number: float) -> float:
    """β = (√κ − 1)/(√κ + 1): constant momentum for η = 1/λ_max, κ = λ_max/λ_min.

    Args:
        condition_number: κ ≥ 1.

    Returns:
        β in [0, 1).

    Raises:
        ValueError: κ below 1.

    Source: Nesterov, Introductory Lectures on Convex Optimization, constant step scheme.

    >>> nesterov_momentum(9.0)
    0.5
    """
    if not condition_number >= 1.0:
        raise ValueError(f"condition_number {condition_number}: λ_max/λ_min is 1 or more.")
    root = math.sqrt(condition_number)
    return (root - 1.0) / (root + 1.0)


def nesterov_residual_norm(
    ntk: ArrayLike, residual_0: ArrayLike, learning_rate: float, momentum: float, steps: ArrayLike
) -> Array:
    """Residual of Nesterov's method, mode by mode: r_{k+1} = (1 − ηλ)((1 + β)r_k − βr_{k−1}), r_{−1} = r_0.

    Convention: θ_{k+1} = v_k − η∇L(v_k), v_{k+1} = θ_{k+1} + β(θ_{k+1} − θ_k), v_0 = θ_0; the residual is
    at θ_k.

    Args:
        ntk: Θ, shape (n, n), symmetric.
        residual_0: r(0), shape (n,).
        learning_rate: η > 0.
        momentum: β, constant, in [0, 1).
        steps: k, shape (steps,), integers ≥ 0.

    Returns:
        Shape (steps,).

    Raises:
        ValueError: Θ is not symmetric.

    Source: the recursion on a quadratic; powers of its 2 × 2 matrix by repeated squaring.

    >>> nesterov_residual_norm(np.eye(1), [1.0], 0.5, 0.0, [0, 1, 2])
    array([1.  , 0.5 , 0.25])
    """
    eigenvalues, modes = _modes(ntk, residual_0)
    shrink = 1.0 - learning_rate * eigenvalues
    companion = np.zeros((eigenvalues.size, 2, 2))
    companion[:, 0, 0], companion[:, 0, 1] = shrink * (1.0 + momentum), -shrink * momentum
    companion[:, 1, 0] = 1.0
    norms = []
    for step in np.asarray(steps, dtype=np.int64).ravel():
        factor = np.linalg.matrix_power(companion, int(step)).sum(axis=2)[:, 0]
        norms.append(np.linalg.norm(factor * modes))
    return np.array(norms, dtype=np.float64)


def langevin_mean_square_residual(
    ntk: ArrayLike, residual_0: ArrayLike, learning_rate: float, temperature: float, steps: ArrayLike
) -> Array:
    """E‖r(k)‖² = Σ_i a_i^{2k} r_i(0)² + 2T(1 − a_i^{2k})/(2 − ηλ_i), a_i = 1 − ηλ_i, over the noise.

    Convention: θ_{k+1} = θ_k − η∇L + √(2ηT) ξ_k, ξ ~ N(0, I). Modes with λ = 0 do not move. As k → ∞ and η
    → 0 each learnable mode keeps T, equipartition for the energy ½r².

    Args:
        ntk: Θ, shape (n, n), symmetric.
        residual_0: r(0), shape (n,).
        learning_rate: η > 0, ηλ_max < 2.
        temperature: T ≥ 0, in units of the loss.
        steps: k, shape (steps,).

    Returns:
        Shape (steps,).

    Raises:
        ValueError: Θ is not symmetric, or ηλ_max ≥ 2.

    Source: the discrete Ornstein–Uhlenbeck process of each mode.

    >>> langevin_mean_square_residual(np.eye(1), [1.0], 1.0, 0.5, [0, 1, 5])
    array([1., 1., 1.])
    """
    eigenvalues, modes = _modes(ntk, residual_0)
    if learning_rate * float(eigenvalues[-1]) >= 2.0:
        raise ValueError(
            f"learning_rate {learning_rate}: ηλ_max = {learning_rate * eigenvalues[-1]:.3g} ≥ 2."
        )
    decay = np.square(mode_factors(eigenvalues, learning_rate, steps))  # (steps, n)
    noise = 2.0 * temperature * (1.0 - decay) / (2.0 - learning_rate * eigenvalues)
    return np.asarray((decay * np.square(modes) + noise).sum(axis=1), dtype=np.float64)


def steps_to_tolerance(
    ntk: ArrayLike | Spectrum, residual_0: ArrayLike, learning_rate: float, tolerance: float
) -> float:
    """The least k with ‖(I − ηΘ)^k r(0)‖ ≤ tolerance · ‖r(0)‖; inf where there is none.

    Eigenvalues below the rounding error of the spectrum count as 0: no time is quoted from them.

    Args:
        ntk: Θ, shape (n, n), symmetric, or its spectrum.
        residual_0: r(0), shape (n,), or (n, outputs) where outputs share Θ.
        learning_rate: η > 0.
        tolerance: relative residual, in (0, 1).

    Returns:
        A whole number of steps, or inf.

    Raises:
        ValueError: Θ is not symmetric, or the tolerance is not in (0, 1).

    Source: residual norms decrease in k for ηλ_max ≤ 2, so bisection finds k.

    >>> steps_to_tolerance(np.eye(1), [1.0], 0.5, 0.2)
    3.0
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance {tolerance}: a relative residual between 0 and 1 is wanted.")
    spectrum = decomposition(ntk)
    eigenvalues, modes = _modes(spectrum, residual_0)
    eigenvalues = np.where(eigenvalues > spectrum.error, eigenvalues, 0.0)
    power = np.square(modes).reshape(len(eigenvalues), -1).sum(axis=1)
    target = tolerance**2 * float(power.sum())
    if learning_rate * float(eigenvalues[-1]) > 2.0:
        return math.inf

    def below(k: int) -> bool:
        return float((np.square(mode_factors(eigenvalues, learning_rate, [k])) @ power)[0]) <= target

    high = 1
    while not below(high):
        high *= 2
        if high > 2**62:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if below(middle) else (middle, high)
    return float(high)


def _modes(ntk: ArrayLike | Spectrum, residual_0: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues of Θ, shape (n,), and the residual's coefficients, in the residual's shape."""
    spectrum = decomposition(ntk)
    return spectrum.eigenvalues, spectrum.vectors.T @ np.asarray(residual_0, dtype=np.float64)
