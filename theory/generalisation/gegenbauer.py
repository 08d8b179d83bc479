"""Polynomials that are orthogonal on the sphere: the eigenfunctions of kernels of xᵀx' there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import eval_chebyt, eval_gegenbauer, gammaln

from widesweep.theory.arrays import Array


def sphere_polynomial(degree: int, inputs: int, cosine: ArrayLike) -> Array:
    """Q_k(t) = C_k^(λ)(t) / √h_k, λ = d/2 − 1: E[Q_j(wᵀx) Q_k(wᵀx)] = δ_jk for x uniform on the sphere.

    h_k = λ/(k + λ) · Γ(k + 2λ)/(Γ(2λ) k!), the mean square of C_k^(λ) over the sphere. On the circle, d = 2,
    Q_k is √2 times Chebyshev's T_k.

    Args:
        degree: k ≥ 0.
        inputs: d ≥ 2, dimension of the space that the unit sphere lies in.
        cosine: t = wᵀx in [−1, 1], any shape.

    Returns:
        Values of the shape of `cosine`.

    Raises:
        ValueError: a degree below 0 or fewer than two inputs.

    Source: Abramowitz and Stegun 1964, 22.2.3, for h_k; Dai and Xu 2013, "Approximation Theory and Harmonic
    Analysis on Spheres and Balls", chapter 1.

    >>> sphere_polynomial(1, 3, [0.0, 1.0]).round(6)
    array([0.      , 1.732051])
    """
    if degree < 0 or inputs < 2:
        raise ValueError(f"degree {degree} in {inputs} dimensions; they begin at 0 and 2.")
    t = np.asarray(cosine, dtype=np.float64)
    if degree == 0:
        return np.ones_like(t)
    if inputs == 2:
        return np.asarray(math.sqrt(2.0) * eval_chebyt(degree, t))
    order = inputs / 2.0 - 1.0
    log_square = (
        math.log(order / (degree + order))
        + float(gammaln(degree + 2.0 * order))
        - float(gammaln(2.0 * order))
        - float(gammaln(degree + 1.0))
    )
    return np.asarray(eval_gegenbauer(degree, order, t) * math.exp(-0.5 * log_square))
