"""Infinite-width kernels of convolutional networks, plain in `ntk` parameterisation, or residual.

With m channels and q × q filters, z^(1)(p) = (√C_W/q) Σ_o W_o x(p + o) + √C_b b and
z^(h+1)(p) = (√(C_W/m)/q) Σ_o W_o σ(z^(h)(p + o)) + √C_b b for L convolutional layers, with o over the q²
offsets of the filter. The read-out is dense, on all pixels (`flatten`) or on their mean (`pool`). A flattened
read-out needs covariances of equal pixels alone, n²P numbers in place of n²P².
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.convolution import image_pairs
from widesweep.theory.convolution.architecture import Architecture, Shares, plain


@dataclass(frozen=True)
class ConvolutionalKernels:
    """Kernels of an infinitely wide convolutional network on n images.

    Args:
        nngp: covariance of the output, shape (n, n).
        ntk: tangent kernel over all weights and biases, shape (n, n); of the shares that were asked for.
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
    threads: int = 1,
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
        threads: cores to use; the numbers are the same on any number of them.

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
    pixels = with_channels(images)
    architecture = plain(
        activation,
        depth,
        pixels.shape[1] * pixels.shape[2],
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        filter_size=filter_size,
        padding=padding,
        readout=readout,
    )
    nngp, (ntk,), error = kernels_of(architecture, pixels, [everything(depth)], threads=threads)
    return ConvolutionalKernels(nngp, ntk, error)


def kernels_of(
    architecture: Architecture, images: ArrayLike, shares: Sequence[Shares], *, threads: int = 1
) -> tuple[Array, Array, float]:
    """Output covariance and tangent kernels of an architecture, each over shares of its layers.

    Args:
        architecture: plain or residual.
        images: shape (n, height, width) or (n, height, width, channels).
        shares: for each kernel what the weights and the biases of layers 1 … L + 1 add, in units of their
            part under `ntk`: 1 where they train, 0 where they do not.
        threads: cores to use.

    Returns:
        K, shape (n, n); Θ of each, shape (kernels, n, n); the largest error of one layer's expectations.

    Raises:
        ValueError: images have another shape, or are not finite.

    >>> from widesweep.theory.activations import LINEAR
    >>> from widesweep.theory.convolution.architecture import residual
    >>> kernels_of(residual(LINEAR, 1, filter_size=1), np.ones((1, 1, 1)), [everything(1)])[1]
    array([[[2.]]])
    """
    pixels = with_channels(images)
    count, area = len(pixels), pixels.shape[1] * pixels.shape[2]
    prepared = image_pairs.prepare(architecture, pixels)
    nngp, ntk = np.empty((count, count)), np.empty((len(shares), count, count))

    def fill(block: tuple[slice, slice]) -> None:
        rows, columns = block
        covariance, tangents = image_pairs.block_kernels(prepared, shares, rows, columns)
        nngp[rows, columns], ntk[:, rows, columns] = covariance, tangents

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, image_pairs.blocks(count, area, architecture.readout)))
    upper = np.triu_indices(count, 1)
    nngp[upper[::-1]] = nngp[upper]
    ntk[:, upper[1], upper[0]] = ntk[:, upper[0], upper[1]]
    return nngp, ntk, prepared.error


def everything(depth: int) -> Shares:
    """The shares of a network that trains whole.

    >>> everything(1)
    ((1.0, 1.0), (1.0, 1.0))
    """
    return ((1.0, 1.0),) * (depth + 1)


def with_channels(images: ArrayLike) -> Array:
    """Images as (n, height, width, channels).

    Raises:
        ValueError: they have another shape, or are not finite.

    >>> with_channels(np.ones((2, 3, 3))).shape
    (2, 3, 3, 1)
    """
    pixels = np.asarray(images, dtype=np.float64)
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or not pixels.size or not np.isfinite(pixels).all():
        raise ValueError(
            f"images have shape {np.shape(images)}; (n, height, width[, channels]) is wanted, finite."
        )
    return pixels
