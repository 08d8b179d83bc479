"""Fully connected networks of any depth in the four parameterisations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from widesweep.theory.infinite_width.criticality import preserving_weight_variance
from widesweep.theory.infinite_width.du import activation_scale
from widesweep.theory.infinite_width.duals import dual
from widesweep.theory.infinite_width.kernels import Kernels, fully_connected_kernels
from widesweep.workers.networks.custom_activation import ACTIVATIONS
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import FirstName, Network, PositiveFloat, cumulants_of_gaussian_output


class FullyConnected(Network):
    """f(x) = z^(L+1)(x) with z^(1) = s₁ x W^(1) + t b, z^(h+1) = s_h σ(z^(h)) W^(h+1) + t b.

    Parameterisations (all entries N(0,1) except in `standard`; inputs have unit norm):

    - `ntk`: s₁ = √C_W, s_h = √(C_W/m), t = √C_b.
    - `standard`: the same function, s = t = 1 and the factors inside the variance of W and b.
    - `du`: s₁ = 1, s_h = √(c_σ/m), c_σ = 1/E[σ(g)²], no biases.
    - `mup`: `ntk` with the output layer's √(C_W/m) made √C_W/m; with a relative rate, which then grows like
      m, it is μP for gradient descent. `mean_field` is its other name.

    Attributes:
        parameterization: where the factors of the width stand, as above.
        weight_variance: C_W; default: the value that keeps K from layer to layer, 2 for ReLU, or the critical
            one where none does, 1 for tanh. The resolved config holds the number.
        bias_variance: C_b.

    Source: Jacot et al. 2018, arXiv:1806.07572; Du et al. 2019, arXiv:1811.03804; Yang and Hu 2020,
    arXiv:2011.14522, Table 1, for μP.

    >>> FullyConnected(weight_variance=2.0).layers(width=8, depth=2, inputs=3)[1].weight_scale
    0.5
    """

    kind: Literal["fully_connected"] = "fully_connected"
    parameterization: Annotated[Literal["ntk", "standard", "du", "mup"], FirstName] = "ntk"
    weight_variance: PositiveFloat | None = None
    bias_variance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _scales_are_resolved(self) -> Self:
        if self.parameterization == "du" and (self.weight_variance is not None or self.bias_variance):
            raise ValueError(
                "du fixes its scales by c_σ = 1/E[σ(g)²]; leave weight_variance and bias_variance out"
            )
        own = isinstance(self.activation, str) and self.activation not in ACTIVATIONS.built_in
        if self.parameterization != "du" and not own:  # a plug-in is imported later, when a sweep is run
            object.__setattr__(self, "weight_variance", self.variances()[1])
        return self

    def resolved(self) -> Self:
        """With its C_W as a number."""
        if self.parameterization == "du":
            return self
        return self.model_copy(update={"weight_variance": self.variances()[1]})

    def variances(self) -> tuple[float, float]:
        """(C_W of the first layer, C_W of the others)."""
        if self.parameterization == "du":
            return 1.0, activation_scale(self.activation_object())
        variance = self.weight_variance
        if variance is None:
            variance = preserving_weight_variance(self.activation_object(), self.bias_variance)
        return variance, variance

    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """The network's layers, first to output."""
        first, others = self.variances()
        sizes = [inputs] + [width] * depth + [outputs]
        scales = [math.sqrt(first)] + [math.sqrt(others / width)] * depth
        if self.parameterization == "mup":
            scales[-1] /= math.sqrt(width)
        bias = math.sqrt(self.bias_variance)
        inside = self.parameterization == "standard"
        return tuple(
            Layer(
                fan_in=sizes[h],
                fan_out=sizes[h + 1],
                weight_std=scales[h] if inside else 1.0,
                weight_scale=1.0 if inside else scales[h],
                bias_std=bias if inside else float(bias > 0),
                bias_scale=float(bias > 0) if inside else bias * self._output_bias_factor(h, depth, width),
                trains=self.trains == "all" or (self.trains == "last") == (h == depth),
            )
            for h in range(depth + 1)
        )

    def _output_bias_factor(self, h: int, depth: int, width: int) -> float:
        """Under mean_field the output shrinks, its bias too: only the function's scale differs."""
        return 1.0 / math.sqrt(width) if self.parameterization == "mup" and h == depth else 1.0

    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """Infinite-width kernels per unit of `kernel_scale`.

        Under `mup` they are those of `ntk` (of √m f). Under `standard` the layers whose fan-in is m
        dominate like m: the limit of Θ/m keeps those alone, with the weights' factor C_W taken out; where
        only the first layer trains nothing grows and the kernel is the first layer's.
        """
        first, others = self.variances()
        kernels = fully_connected_kernels(
            gram,
            depth,
            self.activation_object(),
            weight_variance=others,
            bias_variance=self.bias_variance,
            first_weight_variance=first,
        )
        if self.parameterization != "standard":
            return kernels
        return self._standard_limit(kernels, others, only_first=self._first_layer_alone(depth))

    def _first_layer_alone(self, depth: int) -> bool:
        return self.trains == "hidden" and depth == 1

    def _standard_limit(self, kernels: Kernels, variance: float, *, only_first: bool) -> Kernels:
        """Parts that grow like m, (K^(h) − C_b)/C_W · B^(h) with B^(h) = Π_{l≥h} C_W E[σ'σ'] under K^(l)."""
        parts = np.zeros_like(kernels.layer_ntk)
        backward = np.ones_like(kernels.nngp)
        for h in range(len(parts) - 1, -1, -1):
            gram = kernels.hidden_nngp[h]
            if h < len(parts) - 1:
                diagonal = np.diagonal(gram)
                backward = backward * variance * dual(self.activation_object(), diagonal, diagonal, gram)[1]
            weights = (gram - self.bias_variance) / variance
            if only_first and h == 0:
                parts[h] = (weights + float(self.bias_variance > 0)) * backward
            elif not only_first and h > 0:
                parts[h] = weights * backward
        return replace(kernels, layer_ntk=parts)

    def output_covariance(self, gram: np.ndarray, depth: int) -> np.ndarray:
        """Covariance of αf over initialisations as width grows; 0 under `mup`."""
        if self.parameterization == "mup":
            return np.zeros_like(gram)
        return super().output_covariance(gram, depth)

    def kernel_scale(self, width: int, depth: int) -> float:
        """1; 1/m under `mup`; m under `standard`, or 1 where its first layer trains alone."""
        if self.parameterization == "mup":
            return 1.0 / width
        if self.parameterization == "standard" and not self._first_layer_alone(depth):
            return float(width)
        return 1.0

    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """κ_{2k}/K^k of the output at initialisation; the same in all four parameterisations."""
        first, others = self.variances()
        return cumulants_of_gaussian_output(
            self.activation_object(),
            width,
            depth,
            orders,
            weight_variance=others,
            bias_variance=self.bias_variance,
            first_weight_variance=first,
        )
