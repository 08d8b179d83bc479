"""Residual networks: every hidden layer but the first adds a branch to what it was given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from widesweep.theory.infinite_width.du import activation_scale
from widesweep.theory.infinite_width.kernels import Kernels
from widesweep.theory.infinite_width.resnet import resnet_kernels
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import Network, PositiveFloat


class ResNet(Network):
    """x^(1) = √(c_σ/m) σ(W^(1) x), x^(h) = x^(h−1) + c_res/(H√m) σ(W^(h) x^(h−1)), f = a·x^(H).

    All weights are N(0, 1), H = depth, c_σ = 1/E[σ(g)²]; no biases.

    Source: Du et al. 2018, arXiv:1811.03804, the residual architecture.

    Attributes:
        residual_scale: c_res of the branches.

    >>> ResNet().layers(width=16, depth=2, inputs=3)[1].branch_scale
    0.125
    """

    samples_output: ClassVar[bool] = False
    kind: Literal["resnet"] = "resnet"
    residual_scale: PositiveFloat = 1.0

    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """The first layer, the residual ones, and the output."""
        moves = self.trains != "last"
        first = math.sqrt(activation_scale(self.activation_object()) / width)
        branch = self.residual_scale / (depth * math.sqrt(width))
        return (
            Layer(inputs, width, branch_scale=first, trains=moves),
            *(Layer(width, width, branch_scale=branch, skip=True, trains=moves) for _ in range(depth - 1)),
            Layer(width, outputs, trains=self.trains != "hidden"),
        )

    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """Infinite-width kernels."""
        return resnet_kernels(gram, depth, self.activation_object(), residual_scale=self.residual_scale)

    def kernel_scale(self, width: int, depth: int) -> float:
        """1."""
        return 1.0

    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """NaN: no prediction is known here."""
        return np.full(len(orders), np.nan), "none"
