"""Activations on tensors: in place, with the derivative from what the forward pass left behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from widesweep.workers.networks.custom_activation import ACTIVATIONS
from widesweep.workers.networks.network import ActivationConfig, Leaky

aten = torch.ops.aten


@dataclass(frozen=True)
class TensorActivation:
    """σ as two operations on preallocated tensors.

    Attributes:
        apply: (z, a): writes σ(z) to a; a is z itself unless `keeps_input`.
        pull_back: (d, z, a): multiplies d by σ'(z) in place.
        keeps_input: the derivative, or the sign of z, needs z itself.
        rectifies: whether σ is relu; False: it is the identity; None: it is neither (`compiled.segment`).
    """

    apply: Callable[[Tensor, Tensor], object]
    pull_back: Callable[[Tensor, Tensor, Tensor], object]
    keeps_input: bool
    rectifies: bool | None = None


def tensor_activation(config: ActivationConfig) -> TensorActivation:
    """The activation that a config names.

    >>> relu = tensor_activation("relu")
    >>> z = torch.tensor([-1.0, 2.0]); _ = relu.apply(z, z); z.tolist()
    [0.0, 2.0]
    """
    if isinstance(config, Leaky):
        return _leaky(*config.leaky)
    return _NAMED[config] if config in _NAMED else _differentiated(function(config))


def function(config: ActivationConfig) -> Callable[[Tensor], Tensor]:
    """σ as a function that torch differentiates.

    >>> function("erf")(torch.zeros(1))
    tensor([0.])
    """
    if isinstance(config, Leaky):
        minus, plus = config.leaky
        return lambda z: torch.where(z < 0, minus * z, plus * z)
    if config in _FUNCTIONS:
        return _FUNCTIONS[config]
    sigma = ACTIVATIONS.get(config).tensor
    assert sigma is not None  # a plug-in without one is refused
    return sigma


def _differentiated(sigma: Callable[[Tensor], Tensor]) -> TensorActivation:
    """An activation of one's own, its derivative by autograd."""

    def pull_back(d: Tensor, z: Tensor, a: Tensor) -> object:
        return d.mul_(torch.func.vjp(sigma, z)[1](torch.ones_like(z))[0])

    return TensorActivation(apply=lambda z, a: a.copy_(sigma(z)), pull_back=pull_back, keeps_input=True)


def _leaky(a_minus: float, a_plus: float) -> TensorActivation:
    return TensorActivation(
        apply=lambda z, a: torch.where(z < 0, z * a_minus, z * a_plus, out=a),
        pull_back=lambda d, z, a: torch.where(z < 0, d * a_minus, d * a_plus, out=d),
        keeps_input=True,
    )


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "linear": lambda z: z,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "gelu": torch.nn.functional.gelu,
}
_NAMED = {
    "relu": TensorActivation(
        apply=lambda z, a: z.clamp_(min=0.0),
        pull_back=lambda d, z, a: aten.threshold_backward.grad_input(d, a, 0.0, grad_input=d),
        keeps_input=False,
        rectifies=True,
    ),
    "linear": TensorActivation(
        apply=lambda z, a: None,
        pull_back=lambda d, z, a: None,
        keeps_input=False,
        rectifies=False,
    ),
    "tanh": TensorActivation(
        apply=lambda z, a: z.tanh_(),
        pull_back=lambda d, z, a: aten.tanh_backward.grad_input(d, a, grad_input=d),
        keeps_input=False,
    ),
    "erf": TensorActivation(
        apply=lambda z, a: torch.erf(z, out=a),
        pull_back=lambda d, z, a: d.mul_(torch.exp(-z.square()).mul_(2.0 / math.sqrt(math.pi))),
        keeps_input=True,
    ),
    "gelu": TensorActivation(
        apply=lambda z, a: aten.gelu.out(z, approximate="none", out=a),
        pull_back=lambda d, z, a: aten.gelu_backward.grad_input(d, z, approximate="none", grad_input=d),
        keeps_input=True,
    ),
}
