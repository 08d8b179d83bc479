"""The activations that a config can name: those of `theory`, and one's own, made of one torch function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from widesweep.theory import activations
from widesweep.theory.activations import Activation
from widesweep.theory.registry import Registry

Form = Callable[[Any], Any]
CLOSE = 1e-6  # to which the forms of one activation agree
PROBES = np.linspace(-3.0, 3.0, 24).reshape(4, 6) + 0.0137  # where they are compared: at no likely kink


def activation(
    tensor: Form,
    *,
    value: Form | None = None,
    derivative: Form | None = None,
    slopes: tuple[float, float] | None = None,
    name: str = "",
) -> Activation:
    """An activation of one's own, σ elementwise; its dual is a Hermite series, or closed where it has slopes.

    Args:
        tensor: σ on torch tensors of any shape; anything that torch differentiates.
        value: σ on NumPy arrays; default: by `tensor`.
        derivative: σ' on NumPy arrays; default: by torch's automatic differentiation of `tensor`.
        slopes: (a₋, a₊) if σ(t) = a₋t for t ≤ 0 and a₊t for t > 0.
        name: for messages; default: the function's.

    Raises:
        ValueError: σ is not elementwise and finite, or its forms differ by more than 1e-6.

    >>> import torch
    >>> softplus = activation(torch.nn.functional.softplus)
    >>> softplus.derivative(np.array([0.0])), softplus.name
    (array([0.5]), 'softplus')
    """
    named = name or getattr(tensor, "__name__", type(tensor).__name__)
    made = Activation(
        named, value or _Value(tensor), derivative or _Derivative(tensor), slopes=slopes, tensor=tensor
    )
    _check(made)
    return made


class _Value:
    """σ on arrays, by its form on tensors."""

    def __init__(self, tensor: Form) -> None:
        self.tensor = tensor

    def __call__(self, z: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            return np.asarray(self.tensor(_as_tensor(z)).numpy())


class _Derivative(_Value):
    """σ' on arrays, by automatic differentiation."""

    def __call__(self, z: np.ndarray) -> np.ndarray:
        import torch

        at = _as_tensor(z)
        return np.asarray(torch.func.vjp(self.tensor, at)[1](torch.ones_like(at))[0].numpy())


def _as_tensor(z: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.array(z, dtype=np.float64))


def _check(made: Activation) -> None:
    """Compares all forms with the tensors' own."""
    assert made.tensor is not None
    of_tensors = _Value(made.tensor)
    value, slope = of_tensors(PROBES), _Derivative(made.tensor)(PROBES)
    if value.shape != PROBES.shape or not (np.isfinite(value).all() and np.isfinite(slope).all()):
        raise ValueError(f"{made.name} does not give a finite number for each number")
    forms = {"value": (made.value, value), "derivative": (made.derivative, slope)}
    forms["form of single numbers"] = (np.vectorize(lambda z: of_tensors(np.array([z]))[0]), value)
    if made.slopes is not None:
        forms["slopes"] = (activations.leaky(*made.slopes).value, value)
    for form, (function, expected) in forms.items():
        gap = float(np.max(np.abs(function(PROBES) - expected)))
        if not gap <= CLOSE:
            raise ValueError(f"the {form} of {made.name} differs from its tensor form by {gap:.2g}")


def _accepted(name: str, found: object) -> Activation:
    """An `Activation` with a form on tensors, or a function of tensors, which is made one."""
    if isinstance(found, Activation):
        if found.tensor is None:
            raise TypeError("it has no form on tensors; make it by `activation`")
        return replace(found, name=name)
    if not callable(found) or isinstance(found, type):
        raise TypeError(f"it is {type(found)}, neither an activation nor a function of tensors")
    return activation(found, name=name)


ACTIVATIONS = Registry("activation", _accepted, activations.NAMED)
