"""Activations on tensors: in place, with the derivative from what the forward pass left behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

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
    return _NAMED[config]


def _leaky(a_minus: float, a_plus: float) -> TensorActivation:
    return TensorActivation(
        apply=lambda z, a: torch.where(z < 0, z * a_minus, z * a_plus, out=a),
        pull_back=lambda d, z, a: torch.where(z < 0, d * a_minus, d * a_plus, out=d),
        keeps_input=True,
    )


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
