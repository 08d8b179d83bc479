"""Dual activations: E[σ(u)σ(v)] and E[σ'(u)σ'(v)] of a centred Gaussian pair with any two variances.

Near correlation ±1 the forms avoid arccos, which loses half the digits there: with r = √((√(pq) − c)(√(pq)
+ c)) the angle is arctan2(c, r), exact where c = ±√(pq).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widesweep.theory.activations import ERF, GELU, Activation
from widesweep.theory.arrays import Array
from widesweep.theory.infinite_width.hermite import hermite_diagonal, hermite_duals
from widesweep.theory.quadrature import gaussian_rule

Pair = tuple[Array, Array]
Formula = Callable[[Array, Array, Array, float], Pair]
Chosen = slice | NDArray[np.intp]
NO_HARM = 1e12  # p·q up to which rounding of c² moves no determinant that is 1 or more


@dataclass(frozen=True)
class PreparedDual:
    """The dual of one layer, ready to be evaluated block by block.

    Args:
        evaluate: (rows, columns, covariance block, factor) ↦ factor · (E[σσ'], E[σ'σ']) on that block.
        error: bound on the absolute error of either expectation; 0 for a closed form, apart from rounding.
    """

    evaluate: Callable[[Chosen, Chosen, Array, float], Pair]
    error: float


def scale_invariant_dual(
    a_minus: float, a_plus: float, p: Array, q: Array, c: Array, factor: float = 1.0
) -> Pair:
    """E[σσ'] = s²c + (2d²/π)(r + c·φ) and E[σ'σ'] = s² + (2d²/π)φ, φ = arcsin(c/√(pq)) by arctan2(c, r).

    Here s = (a₊ + a₋)/2, d = (a₊ − a₋)/2, r = √(pq − c²): σ(t) = s t + d|t|.

    Args:
        a_minus: slope for t ≤ 0.
        a_plus: slope for t > 0.
        p: variances of u, broadcastable against `c`.
        q: variances of v, likewise.
        c: covariances; those beyond ±√(pq) by rounding are brought back.
        factor: what multiplies both.

    Returns:
        E[σ(u)σ(v)] and E[σ'(u)σ'(v)] times the factor, the shape of `c`.

    Source: Cho and Saul 2009, degree-1 arc-cosine kernel, for ReLU; the |t| part here gives every slope.

    >>> value, slope = scale_invariant_dual(0.0, 1.0, np.ones(1), np.ones(1), np.array([0.0, 1.0, -1.0]))
    >>> value.round(4), slope
    (array([0.1592, 0.5   , 0.    ]), array([0.25, 0.5 , 0.  ]))
    """
    mean, half = 0.5 * (a_plus + a_minus), 0.5 * (a_plus - a_minus)
    if half == 0.0:
        return factor * mean**2 * c, np.full_like(c, factor * mean**2)
    c, remainder, room = _clipped(p, q, c)
    slope = np.arctan2(c, remainder, out=room)
    slope *= factor * 2.0 * half**2 / math.pi
    slope += factor * mean**2
    remainder *= factor * 2.0 * half**2 / math.pi
    c *= slope
    c += remainder
    return c, slope


def erf_dual(p: Array, q: Array, c: Array, factor: float = 1.0) -> Pair:
    """E[erf erf] = (2/π) arctan(2c/√D) and E[erf' erf'] = (4/π)/√D, D = (1 + 2p)(1 + 2q) − 4c².

    Args:
        p: variances of u, broadcastable against `c`.
        q: variances of v, likewise.
        c: covariances; where rounding puts them beyond ±√(pq), D stays 1 or more.
        factor: what multiplies both.

    Returns:
        Both expectations times the factor, the shape of `c`.

    Source: Williams 1997, the kernel of an infinite network with erf units, there as an arcsine.

    >>> erf_dual(np.ones(1), np.ones(1), np.array([1.0]))[0].round(6)
    array([0.464559])
    """
    value = np.square(c)
    root = (0.5 + p) * (0.5 + q)  # D/4
    root -= value
    if not _is_harmless(p, q):
        np.maximum(root, 0.25, out=root)
    np.sqrt(root, out=root)
    np.divide(c, root, out=value)
    np.arctan(value, out=value)
    value *= factor * 2.0 / math.pi
    return value, np.divide(factor * 2.0 / math.pi, root, out=root)


def gelu_dual(p: Array, q: Array, c: Array, factor: float = 1.0) -> Pair:
    """E[σσ'] = cA + B(pq − c² + c²e) and E[σ'σ'] = A + cB(e + 1/D) for σ(z) = zΦ(z).

    Here D = (1+p)(1+q) − c², A = E[Φ(u)Φ(v)] = ¼ + arctan2(c, √D)/2π, B = E[φ(u)φ(v)] = 1/(2π√D), e =
    1/(1+p) + 1/(1+q). Derived by parts (Stein): E[uφ(u)Φ(v)] = cB/(1+p), E[vφ(u)Φ(v)] = (q − c²/(1+p))B,
    E[uvφφ] = cB/D.

    Args:
        p: variances of u, broadcastable against `c`.
        q: variances of v, likewise.
        c: covariances.
        factor: what multiplies both.

    Returns:
        Both expectations times the factor, the shape of `c`.

    Source: derived here; Tsuchida et al. 2021, arXiv:2002.08517, treat the same kernel.

    >>> gelu_dual(np.array([1.0]), np.array([2.0]), np.array([0.5]))[0].round(6)
    array([0.271338])
    """
    square = np.square(c)
    gap = p * q - square  # it stands beside 1, where its rounding does no harm
    if not _is_harmless(p, q):
        np.maximum(gap, 0.0, out=gap)
    determinant = gap + (1.0 + p + q)
    root = np.sqrt(determinant)
    both = np.arctan2(c, root)
    both *= factor / (2.0 * math.pi)
    both += 0.25 * factor
    densities = np.divide(factor / (2.0 * math.pi), root, out=root)
    shrink = 1.0 / (1.0 + p) + 1.0 / (1.0 + q)
    square *= shrink
    square += gap
    square *= densities
    value = np.multiply(c, both, out=gap)
    value += square
    slope = np.divide(1.0, determinant, out=determinant)
    slope += shrink
    slope *= densities
    slope *= c
    slope += both
    return value, slope


def _clipped(p: Array, q: Array, c: Array) -> tuple[Array, Array, Array]:
    """Covariances inside ±√(pq), √(pq − c²) without cancellation, and an array that is free.

    In as few arrays as there can be: a new one costs more than what is computed in it.
    """
    limit = np.multiply(p, q, out=np.empty_like(c))
    np.sqrt(limit, out=limit)
    remainder = np.negative(limit)
    c = np.minimum(c, limit)
    np.maximum(c, remainder, out=c)
    np.subtract(limit, c, out=remainder)
    limit += c
    remainder *= limit
    return c, np.sqrt(remainder, out=remainder), limit


def _is_harmless(p: Array, q: Array) -> bool:
    """Whether covariances that rounding puts beyond ±√(pq) leave (1 + p)(1 + q) − c² as good as it was."""
    return float(p.max(initial=0.0)) * float(q.max(initial=0.0)) < NO_HARM


def closed_form(activation: Activation) -> Formula | None:
    """The closed-form dual of `activation` as (p, q, c) ↦ pair, or None where there is none.

    Args:
        activation: any activation.

    Returns:
        A function of variances p, q, covariances c and a factor, or None.

    >>> closed_form(ERF) is erf_dual
    True
    """
    if activation.slopes is not None:
        a_minus, a_plus = activation.slopes
        return functools.partial(scale_invariant_dual, a_minus, a_plus)
    if activation == ERF:
        return erf_dual
    return gelu_dual if activation == GELU else None


def prepare_dual(activation: Activation, row_variances: Array, column_variances: Array) -> PreparedDual:
    """What a layer's dual needs to know once, before its blocks are evaluated.

    Args:
        activation: σ.
        row_variances: shape (n,).
        column_variances: shape (m,).

    Returns:
        The evaluator with its stated error.

    >>> from widesweep.theory.activations import RELU
    >>> prepared = prepare_dual(RELU, np.ones(1), np.ones(2))
    >>> prepared.evaluate(slice(0, 1), slice(0, 2), np.array([[0.0, 1.0]]), 1.0)[1]
    array([[0.25, 0.5 ]])
    """
    formula = closed_form(activation)
    if formula is None:
        return PreparedDual(*hermite_duals(activation, row_variances, column_variances))

    def evaluate(rows: Chosen, columns: Chosen, covariance: Array, factor: float) -> Pair:
        return formula(row_variances[rows, None], column_variances[None, columns], covariance, factor)

    return PreparedDual(evaluate, 0.0)


def dual(
    activation: Activation, row_variances: ArrayLike, column_variances: ArrayLike, covariance: ArrayLike
) -> tuple[Array, Array, float]:
    """E[σ(u)σ(v)], E[σ'(u)σ'(v)] for (u, v) ~ N(0, [[p, c], [c, q]]), and the error of either.

    Args:
        activation: σ; closed form for the scale-invariant family, erf and GELU, otherwise a Hermite series.
        row_variances: p, shape (n,).
        column_variances: q, shape (m,).
        covariance: c, shape (n, m); entries beyond ±√(pq) by rounding are brought back.

    Returns:
        Two arrays of shape (n, m), and a bound on the truncation and quadrature error (0 for closed forms).

    Source: see each closed form; Mehler's formula for the series.

    >>> from widesweep.theory.activations import TANH
    >>> value, slope, error = dual(TANH, [1.0], [2.0], [[0.5]])
    >>> value.round(6), slope.round(6), error < 1e-12
    (array([[0.146754]]), array([[0.299172]]), True)
    """
    p, q = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (row_variances, column_variances))
    prepared = prepare_dual(activation, p, q)
    block = np.asarray(covariance, dtype=np.float64).reshape(p.size, q.size)
    value, slope = prepared.evaluate(slice(0, p.size), slice(0, q.size), block, 1.0)
    return value, slope, prepared.error


def second_moments(activation: Activation, variances: Array) -> tuple[Array, Array]:
    """E[σ(z)²] and E[σ'(z)²] for z ~ N(0, q): the diagonal of the dual.

    Args:
        activation: σ.
        variances: q, any shape.

    Returns:
        Two arrays of the shape of `variances`.

    >>> from widesweep.theory.activations import RELU
    >>> second_moments(RELU, np.array([3.0]))
    (array([1.5]), array([0.5]))
    """
    formula = closed_form(activation)
    if formula is not None:
        return formula(variances, variances, variances, 1.0)
    return hermite_diagonal(activation, variances)


def first_moment(activation: Activation, variances: Array) -> Array:
    """E[σ(z)] for z ~ N(0, q), by quadrature.

    Args:
        activation: σ.
        variances: q, any shape.

    Returns:
        The shape of `variances`.

    >>> from widesweep.theory.activations import RELU
    >>> first_moment(RELU, np.array([np.pi / 2])).round(6)
    array([0.5])
    """
    nodes, weights = gaussian_rule()
    return np.asarray(activation.value(np.sqrt(variances)[..., None] * nodes) @ weights, dtype=np.float64)
