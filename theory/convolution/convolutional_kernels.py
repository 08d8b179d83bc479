"""Infinite-width kernels of convolutional networks, `ntk` parameterisation.

With m channels and q × q filters, z^(1)(p) = (√C_W/q) Σ_o W_o x(p + o) + √C_b b and
z^(h+1)(p) = (√(C_W/m)/q) Σ_o W_o σ(z^(h)(p + o)) + √C_b b for L convolutional layers, with o over the q²
offsets of the filter. The read-out is dense, on all pixels (`flatten`) or on their mean (`pool`). A flattened
read-out needs covariances of equal pixels alone, n²P numbers in place of n²P².
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.infinite_width.duals import prepare_dual

PADDINGS = ("zero", "circular")
READOUTS = ("flatten", "pool")


@dataclass(frozen=True)
class ConvolutionalKernels:
    """Kernels of an infinitely wide convolutional network on n images.

    Args:
        nngp: covariance of the output, shape (n, n).
        ntk: tangent kernel over all weights and biases, shape (n, n).
        quadrature_error: largest error of one layer's expectations; 0 for closed forms.
    """

    nngp: Array
    ntk: Array
    quadrature_error: float = 0.0


def convolutional_kernels(
    images: ArrayLike,
    depth: int,
    activation: Activation,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    filter_size: int = 3,
    padding: str = "zero",
    readout: str = "flatten",
) -> ConvolutionalKernels:
    """Kernels of L convolutional layers and a dense read-out, by the recursion over pairs of pixels.

    K^(1)(p, p') = C_b + (C_W/q²) Σ_o x(p+o)·x'(p'+o) and, with E[σσ'] under K^(h),
    K^(h+1)(p, p') = C_b + (C_W/q²) Σ_o E[σσ'](p+o, p'+o),
    Θ^(h+1)(p, p') = K^(h+1)(p, p') + (C_W/q²) Σ_o (E[σ'σ''] Θ^(h))(p+o, p'+o), Θ^(1) = K^(1).
    The read-out adds a layer with the mean over equal pixels (flatten) or all pairs of pixels (pool).
    Convention: tangent kernels are summed over weights and biases and divided by nothing.

    Args:
        images: shape (n, height, width) or (n, height, width, channels).
        depth: L ≥ 1 convolutional layers.
        activation: σ; closed form or Hermite series.
        weight_variance: C_W > 0.
        bias_variance: C_b ≥ 0.
        filter_size: q, odd.
        padding: what lies beyond the edge: `zero`, or `circular`, the opposite edge.
        readout: `flatten` or `pool`.

    Returns:
        Output covariance and tangent kernel.

    Raises:
        ValueError: an argument is out of range.

    Source: Arora et al. 2019, arXiv:1904.11955, section 4 and appendix, in this parameterisation.

    >>> from widesweep.theory.activations import RELU
    >>> image = np.ones((1, 1, 1))
    >>> found = convolutional_kernels(image, 1, RELU, weight_variance=2.0, filter_size=1)
    >>> found.nngp, found.ntk
    (array([[2.]]), array([[4.]]))
    """
    pixels = _checked(images, depth, weight_variance, bias_variance, filter_size, padding, readout)
    step = _Layer(filter_size // 2, padding, weight_variance, bias_variance, pixels.shape[1:3])
    space = _AllPairs(activation, step) if readout == "pool" else _EqualPixels(activation, step)
    covariance = space.convolved(space.gram(pixels), bias=True)
    tangent, error = covariance, 0.0
    for layer in range(depth):
        value, slope, layer_error = space.duals(covariance)
        error = max(error, layer_error)
        if layer == depth - 1:
            break
        covariance = space.convolved(value, bias=True)
        tangent = covariance + space.convolved(slope * tangent, bias=False)
    nngp = bias_variance + weight_variance * space.read(value)
    return ConvolutionalKernels(nngp, nngp + weight_variance * space.read(slope * tangent), error)


@dataclass(frozen=True)
class _Layer:
    """The sum over a filter's offsets, and its scales."""

    reach: int
    padding: str
    weight_variance: float
    bias_variance: float
    shape: tuple[int, ...]

    def summed(self, values: Array, pixel_axes: tuple[tuple[int, int], ...]) -> Array:
        """(C_W/q²) Σ_o values at p + o; every pair of axes (height, width) is shifted alike."""
        found = np.zeros_like(values)
        span = range(-self.reach, self.reach + 1)
        for offset in product(span, span):
            found += self._shifted(values, offset, pixel_axes)
        return np.asarray(found * (self.weight_variance / (2 * self.reach + 1) ** 2))

    def _shifted(
        self, values: Array, offset: tuple[int, int], pixel_axes: tuple[tuple[int, int], ...]
    ) -> Array:
        axes = [axis for pair in pixel_axes for axis in pair]
        shifts = [each for _ in pixel_axes for each in offset]
        if self.padding == "circular":
            return np.roll(values, [-each for each in shifts], axes)
        found, to, source = np.zeros_like(values), [slice(None)] * values.ndim, [slice(None)] * values.ndim
        for axis, shift in zip(axes, shifts, strict=True):
            length = values.shape[axis]
            if abs(shift) >= length:
                return found
            to[axis] = slice(max(0, -shift), length - max(0, shift))
            source[axis] = slice(max(0, shift), length + min(0, shift))
        found[tuple(to)] = values[tuple(source)]
        return found


@dataclass(frozen=True)
class _EqualPixels:
    """Covariances of equal pixels, shape (n, n, height, width): all that a flattened read-out needs."""

    activation: Activation
    layer: _Layer

    def gram(self, pixels: Array) -> Array:
        return np.asarray(np.einsum("ahwc,bhwc->abhw", pixels, pixels))

    def convolved(self, values: Array, *, bias: bool) -> Array:
        return self.layer.summed(values, ((2, 3),)) + (self.layer.bias_variance if bias else 0.0)

    def duals(self, covariance: Array) -> tuple[Array, Array, float]:
        value, slope, error = np.empty_like(covariance), np.empty_like(covariance), 0.0
        for place in np.ndindex(*self.layer.shape):
            block = np.ascontiguousarray(covariance[(..., *place)])
            value[(..., *place)], slope[(..., *place)], each = _duals(self.activation, block)
            error = max(error, each)
        return value, slope, error

    def read(self, values: Array) -> Array:
        return np.asarray(values.mean(axis=(2, 3)))


@dataclass(frozen=True)
class _AllPairs:
    """Covariances of all pairs of pixels, shape (n, height, width, n, height, width)."""

    activation: Activation
    layer: _Layer

    def gram(self, pixels: Array) -> Array:
        return np.asarray(np.einsum("ahwc,bijc->ahwbij", pixels, pixels))

    def convolved(self, values: Array, *, bias: bool) -> Array:
        return self.layer.summed(values, ((1, 2), (4, 5))) + (self.layer.bias_variance if bias else 0.0)

    def duals(self, covariance: Array) -> tuple[Array, Array, float]:
        side = int(np.prod(covariance.shape[:3]))
        value, slope, error = _duals(self.activation, covariance.reshape(side, side))
        return value.reshape(covariance.shape), slope.reshape(covariance.shape), error

    def read(self, values: Array) -> Array:
        return np.asarray(values.mean(axis=(1, 2, 4, 5)))


def _duals(activation: Activation, covariance: Array) -> tuple[Array, Array, float]:
    """E[σσ'] and E[σ'σ''] of a symmetric covariance matrix, and the error of either."""
    variances, whole = np.ascontiguousarray(np.diagonal(covariance)), slice(0, len(covariance))
    prepared = prepare_dual(activation, variances, variances)
    value, slope = prepared.evaluate(whole, whole, covariance, 1.0)
    return value, slope, prepared.error


def _checked(
    images: ArrayLike, depth: int, weight: float, bias: float, filter_size: int, padding: str, readout: str
) -> Array:
    """Images with an axis of channels."""
    pixels = np.asarray(images, dtype=np.float64)
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or not pixels.size or not np.isfinite(pixels).all():
        raise ValueError(
            f"images have shape {np.shape(images)}; (n, height, width[, channels]) is wanted, finite."
        )
    if depth < 1 or filter_size < 1 or filter_size % 2 == 0:
        raise ValueError(
            f"depth {depth} and filter size {filter_size}: the depth is 1 or more, the size odd."
        )
    if padding not in PADDINGS or readout not in READOUTS:
        raise ValueError(f"padding {padding!r} is one of {PADDINGS}, readout {readout!r} one of {READOUTS}.")
    if not 0.0 < weight < np.inf or not 0.0 <= bias < np.inf:
        raise ValueError(f"weight variance {weight} must be positive and bias variance {bias} not negative.")
    return pixels
