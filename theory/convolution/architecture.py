"""What the recursion of convolutional kernels needs to know of a network: its layers and its read-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.convolution.pixels import PADDINGS
from widesweep.theory.infinite_width.du import activation_scale

READOUTS = ("flatten", "pool")
Shares = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ConvolutionalLayer:
    """z(p) has covariance C_b + weight · Σ_o F(p + o); the features become branch · σ(z), plus F on a skip.

    Args:
        weight: factor of one offset, C_W/q² under `ntk`.
        bias: C_b.
        branch: what multiplies σ(z).
        skip: whether the features that came in are added.
    """

    weight: float
    bias: float = 0.0
    branch: float = 1.0
    skip: bool = False


@dataclass(frozen=True)
class Architecture:
    """A convolutional network of infinitely many channels.

    Args:
        activation: σ.
        layers: first to last; one or more.
        filter_size: q, odd.
        padding: `zero` or `circular`.
        readout: `flatten` sums over equal pixels, `pool` takes the mean over pairs of pixels.
        output_weight: what multiplies that in the output's covariance.
        output_bias: C_b there.
    """

    activation: Activation
    layers: tuple[ConvolutionalLayer, ...]
    filter_size: int
    padding: str
    readout: str
    output_weight: float
    output_bias: float = 0.0


def plain(
    activation: Activation,
    depth: int,
    pixels: int,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    filter_size: int = 3,
    padding: str = "zero",
    readout: str = "flatten",
) -> Architecture:
    """L layers of C_W/q² per offset; a flattened read-out has C_W/P for each of P pixels.

    Args:
        activation: σ.
        depth: L ≥ 1.
        pixels: P.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        filter_size: q, odd.
        padding: `zero` or `circular`.
        readout: `flatten` or `pool`.

    Raises:
        ValueError: an argument is out of range.

    >>> from widesweep.theory.activations import RELU
    >>> plain(RELU, 2, 64, weight_variance=2.0).output_weight
    0.03125
    """
    _check(depth, filter_size, padding, readout)
    if not 0.0 < weight_variance < np.inf or not 0.0 <= bias_variance < np.inf:
        raise ValueError(
            f"weight variance {weight_variance} must be positive and "
            f"bias variance {bias_variance} not negative."
        )
    layer = ConvolutionalLayer(weight_variance / filter_size**2, bias_variance)
    output = weight_variance / (pixels if readout == "flatten" else 1)
    return Architecture(activation, (layer,) * depth, filter_size, padding, readout, output, bias_variance)


def residual(
    activation: Activation,
    depth: int,
    *,
    residual_scale: float = 1.0,
    filter_size: int = 3,
    padding: str = "zero",
    readout: str = "flatten",
) -> Architecture:
    """Du et al.'s: √c_σ σ(z) first, then a skip and (c_res/H) σ(z); no factor of q, P or a bias anywhere.

    Args:
        activation: σ.
        depth: H ≥ 1.
        residual_scale: c_res > 0.
        filter_size: q, odd.
        padding: `zero` or `circular`.
        readout: `flatten`, as theirs, or `pool`.

    Raises:
        ValueError: an argument is out of range.

    Source: Du et al. 2018, arXiv:1811.03804, the convolutional residual network.

    >>> from widesweep.theory.activations import RELU
    >>> [layer.branch for layer in residual(RELU, 2).layers]
    [1.4142135623730951, 0.5]
    """
    _check(depth, filter_size, padding, readout)
    if not 0.0 < residual_scale < np.inf:
        raise ValueError(f"residual_scale {residual_scale}: a number above 0 is wanted.")
    first = ConvolutionalLayer(1.0, branch=activation_scale(activation) ** 0.5)
    other = ConvolutionalLayer(1.0, branch=residual_scale / depth, skip=True)
    return Architecture(activation, (first, *[other] * (depth - 1)), filter_size, padding, readout, 1.0)


def _check(depth: int, filter_size: int, padding: str, readout: str) -> None:
    """Raises ValueError where a depth, filter, padding or read-out is none."""
    if depth < 1 or filter_size < 1 or filter_size % 2 == 0:
        raise ValueError(
            f"depth {depth} and filter size {filter_size}: the depth is 1 or more, the size odd."
        )
    if padding not in PADDINGS or readout not in READOUTS:
        raise ValueError(f"padding {padding!r} is one of {PADDINGS}, readout {readout!r} one of {READOUTS}.")
