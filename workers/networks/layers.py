"""One layer's size and scales: all that a parameterisation is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """A layer z = weight_scale · x W + bias_scale · b, handing on branch_scale · σ(z), plus x on a skip.

    Attributes:
        fan_in: rows of W.
        fan_out: columns of W.
        weight_std: standard deviation of an entry of W at initialisation.
        weight_scale: what multiplies W in the forward pass.
        bias_std: standard deviation of an entry of b at initialisation.
        bias_scale: what multiplies b in the forward pass; 0: the layer has no bias.
        trains: whether gradient descent moves W and b.
        branch_scale: what multiplies σ(z) on its way to the next layer.
        skip: the next layer's input is x + branch_scale · σ(z).
        signs: W holds ±weight_std with equal probability instead of Gaussian entries.
        pixels: places of a sample at which the same W and b act, on a row each: 1 unless they are shared.
    """

    fan_in: int
    fan_out: int
    weight_std: float = 1.0
    weight_scale: float = 1.0
    bias_std: float = 0.0
    bias_scale: float = 0.0
    branch_scale: float = 1.0
    skip: bool = False
    trains: bool = True
    signs: bool = False
    pixels: int = 1

    @property
    def branches(self) -> bool:
        """Whether what it hands on is not σ(z) itself."""
        return self.skip or self.branch_scale != 1.0

    @property
    def parameters(self) -> int:
        """Number of entries in W and b."""
        return self.fan_in * self.fan_out + (self.fan_out if self.bias_scale else 0)
