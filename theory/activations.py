"""Activation functions: the value, the derivative, and the slopes where the function is scale-invariant."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from widesweep.theory.arrays import Array
from widesweep.theory.registry import nearest


@dataclass(frozen=True)
class Activation:
    """An activation σ with its derivative σ'.

    Args:
        name: the word used in configs.
        value: σ, elementwise on float64 arrays of any shape.
        derivative: σ', elementwise; at a kink, the slope to the left.
        slopes: (a₋, a₊) if σ(t) = a₋t for t ≤ 0 and a₊t for t > 0, otherwise None.
        tensor: σ on torch tensors, of an activation that is not built in.

    >>> TANH.value(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.7616])
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    slopes: tuple[float, float] | None = None
    tensor: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class _PiecewiseLinear:
    """t ↦ a₋ min(t, 0) + a₊ max(t, 0); a class so that it compares by value and can be pickled."""

    a_minus: float
    a_plus: float

    def __call__(self, z: Array) -> Array:
        return self.a_minus * np.minimum(z, 0.0) + self.a_plus * np.maximum(z, 0.0)


@dataclass(frozen=True)
class _Step:
    """t ↦ a₋ for t ≤ 0, a₊ for t > 0."""

    a_minus: float
    a_plus: float

    def __call__(self, z: Array) -> Array:
        return np.where(np.asarray(z) > 0.0, self.a_plus, self.a_minus)


def _tanh(z: Array) -> Array:
    return np.asarray(np.tanh(z), dtype=np.float64)


def _tanh_derivative(z: Array) -> Array:
    return 1.0 - _tanh(z) ** 2


def _erf_value(z: Array) -> Array:
    return np.asarray(scipy.special.erf(z), dtype=np.float64)


def _erf_derivative(z: Array) -> Array:
    return np.asarray(2.0 / math.sqrt(math.pi) * np.exp(-np.square(z)), dtype=np.float64)


def _gelu(z: Array) -> Array:
    return np.asarray(z * scipy.special.ndtr(z), dtype=np.float64)


def _gelu_derivative(z: Array) -> Array:
    density = np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
    return np.asarray(scipy.special.ndtr(z) + z * density, dtype=np.float64)


def _scale_invariant(name: str, a_minus: float, a_plus: float) -> Activation:
    slopes = (a_minus, a_plus)
    return Activation(name, _PiecewiseLinear(*slopes), _Step(*slopes), slopes)


def leaky(a_minus: float, a_plus: float) -> Activation:
    """The scale-invariant family σ(t) = a₋t (t ≤ 0), a₊t (t > 0).

    Args:
        a_minus: slope on the left; a finite number.
        a_plus: slope on the right; a finite number, not 0 together with `a_minus`.

    Returns:
        The activation, with `slopes` set.

    Raises:
        ValueError: a slope is not finite, or both are 0.

    >>> leaky(0.1, 1.0).value(np.array([-2.0, 2.0]))
    array([-0.2,  2. ])
    """
    a_minus, a_plus = float(a_minus), float(a_plus)
    if not (math.isfinite(a_minus) and math.isfinite(a_plus)) or a_minus == a_plus == 0.0:
        raise ValueError(f"slopes ({a_minus}, {a_plus}): two finite slopes, not both 0, are wanted.")
    return _scale_invariant(f"leaky({a_minus:g}, {a_plus:g})", a_minus, a_plus)


RELU = _scale_invariant("relu", 0.0, 1.0)
LINEAR = _scale_invariant("linear", 1.0, 1.0)
TANH = Activation("tanh", _tanh, _tanh_derivative)
ERF = Activation("erf", _erf_value, _erf_derivative)
GELU = Activation("gelu", _gelu, _gelu_derivative)
NAMED = {activation.name: activation for activation in (RELU, LINEAR, TANH, ERF, GELU)}


def get(name: str) -> Activation:
    """The activation that a config calls `name`.

    Args:
        name: one of relu, linear, tanh, erf (erf(z) itself), gelu (zΦ(z), not its tanh form).

    Returns:
        The activation.

    Raises:
        ValueError: no activation has that name; the message offers the nearest one.

    >>> get("relu").slopes
    (0.0, 1.0)
    """
    if name in NAMED:
        return NAMED[name]
    near = nearest(name, NAMED)
    hint = f" Did you mean {near!r}?" if near else ""
    raise ValueError(f"activation {name!r} is not known; known are {', '.join(NAMED)}.{hint}")
