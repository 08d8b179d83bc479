"""The recursion of convolutional kernels, one block of pairs of images at a time.

An entry of a pair of images needs that pair alone and the variances of either image's pixels, so that memory
grows with a block and not with all pairs of pixels; a symmetric kernel is computed above the diagonal.
Arrays of a block are (height, width, rows, columns) for equal pixels, (height, width, 1, height, width,
columns) for all pairs of pixels: images lie innermost, so that a shift moves long runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from widesweep.theory.arrays import Array
from widesweep.theory.convolution.architecture import Architecture, ConvolutionalLayer, Shares
from widesweep.theory.convolution.pixels import spans
from widesweep.theory.infinite_width.duals import PreparedDual, first_moment, prepare_dual, second_moments

BLOCK_ENTRIES = 1 << 17  # 1 MiB of float64
EQUAL, ALL_PAIRS = ((0,), (1,)), ((0, 3), (1, 4))  # axes that are shifted together: heights, widths


@dataclass(frozen=True)
class Prepared:
    """What every block needs of all images.

    Args:
        architecture: the network.
        images: shape (height, width, n, channels).
        variances: of z(p) in each layer, shape (height, width, n).
        duals: of each layer, over those variances, raveled.
        means: E[σ(z(p))] in each layer, and Σ_r F_r(p)/√m of the features that come in, of that shape; zeros
            where no layer skips.
    """

    architecture: Architecture
    images: Array
    variances: tuple[Array, ...]
    duals: tuple[PreparedDual, ...]
    means: tuple[tuple[Array, Array], ...]

    @property
    def error(self) -> float:
        """Largest quadrature error of one layer's expectations."""
        return max(each.error for each in self.duals)

    def diagonal(self, rows: slice, columns: slice) -> list[tuple[int, int]]:
        """Places in a block of each image with itself."""
        same = range(max(rows.start, columns.start), min(rows.stop, columns.stop))
        return [(i - rows.start, i - columns.start) for i in same]


def prepare(architecture: Architecture, images: Array) -> Prepared:
    """Runs variances and means of every pixel through the layers.

    Args:
        architecture: the network.
        images: shape (n, height, width, channels).

    >>> from widesweep.theory.activations import LINEAR
    >>> from widesweep.theory.convolution.architecture import plain
    >>> made = prepare(plain(LINEAR, 1, 1, weight_variance=9.0), np.full((2, 1, 1, 1), 2.0))
    >>> made.variances[0].ravel()
    array([4., 4.])
    """
    pixels = np.ascontiguousarray(np.moveaxis(images, 0, 2))
    power = np.einsum("hwnc,hwnc->hwn", pixels, pixels)
    centre = np.zeros_like(power)
    variances, duals, means = [], [], []
    skips = any(layer.skip for layer in architecture.layers)
    for layer in architecture.layers:
        variance = layer.bias + layer.weight * summed(power, EQUAL, architecture)
        flat = variance.ravel()
        mean = first_moment(architecture.activation, variance) if skips else centre
        value = second_moments(architecture.activation, variance)[0]
        variances.append(variance)
        duals.append(prepare_dual(architecture.activation, flat, flat))
        means.append((mean, centre))
        branch = layer.branch**2 * value
        power = power + 2.0 * layer.branch * centre * mean + branch if layer.skip else branch
        centre = layer.branch * mean + (centre if layer.skip else 0.0)
    return Prepared(architecture, pixels, tuple(variances), tuple(duals), tuple(means))


def blocks(count: int, pixels: int, readout: str) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of blocks that cover all pairs of images i ≤ j.

    Args:
        count: n.
        pixels: P.
        readout: `pool` has one row a block.

    >>> list(blocks(2, 64, "pool"))
    [(slice(0, 1, None), slice(0, 2, None)), (slice(1, 2, None), slice(1, 2, None))]
    """
    start = 0
    while start < count:
        if readout == "pool":
            stop, step = start + 1, max(1, BLOCK_ENTRIES // pixels**2)
        else:
            stop = min(count, start + max(1, BLOCK_ENTRIES // (pixels * (count - start))))
            step = max(1, BLOCK_ENTRIES // pixels)
        for first in range(start, count, step):
            yield slice(start, stop), slice(first, min(count, first + step))
        start = stop


def block_kernels(
    prepared: Prepared, shares: Sequence[Shares], rows: slice, columns: slice
) -> tuple[Array, Array]:
    """The output's covariance and tangent kernels on a block of pairs of images.

    With F the features' covariance and T_k their tangent kernel in layer k,
    K = C_b + w Σ_o F, T ← (T +) branch² E[σ'σ'] ∘ (s_w w Σ_o F + s_b C_b + w Σ_o T).

    Args:
        prepared: what `prepare` gave.
        shares: for each tangent kernel, (s_w, s_b) of every layer: the shares of weights and of biases.
        rows: images i.
        columns: images j.

    Returns:
        Shape (rows, columns), and (kernels, rows, columns).

    >>> from widesweep.theory.activations import LINEAR
    >>> from widesweep.theory.convolution.architecture import plain
    >>> made = prepare(plain(LINEAR, 1, 1, weight_variance=1.0, filter_size=1), np.full((2, 1, 1, 1), 2.0))
    >>> block_kernels(made, [((1.0, 1.0), (1.0, 1.0))], slice(0, 1), slice(1, 2))
    (array([[4.]]), array([[[8.]]]))
    """
    architecture = prepared.architecture
    pairs = architecture.readout == "pool"
    axes, features = ALL_PAIRS if pairs else EQUAL, _gram(prepared.images, rows, columns, pairs)
    tangents: list[Array | None] = [None] * len(shares)
    room = np.empty_like(features)  # a new array costs more than a sum does
    for h, layer in enumerate(architecture.layers):
        covariance = summed(features, axes, architecture, room, None if layer.skip else features)
        covariance *= layer.weight
        if layer.bias:
            covariance += layer.bias
        _set_diagonal(covariance, prepared, h, rows, columns)
        value, slope = _dual(prepared, h, covariance, rows, columns)
        if layer.branch != 1.0:
            value *= layer.branch**2
            slope *= layer.branch**2
        for k, share in enumerate(shares):
            tangents[k] = _moved(tangents[k], layer, share[h], covariance, slope, axes, architecture, room)
        features = _with_skip(features, value, prepared, h, rows, columns) if layer.skip else value
    read, weight, bias = (
        _mean_of_pairs if pairs else _sum,
        architecture.output_weight,
        architecture.output_bias,
    )
    covariances = weight * read(features)
    kernels = [
        share[-1][0] * covariances + share[-1][1] * bias + (0.0 if t is None else weight * read(t))
        for share, t in zip(shares, tangents, strict=True)
    ]
    return covariances + bias, np.stack(kernels)


def _moved(
    tangent: Array | None,
    layer: ConvolutionalLayer,
    share: tuple[float, float],
    covariance: Array,
    slope: Array,
    axes: tuple[tuple[int, ...], ...],
    architecture: Architecture,
    room: Array,
) -> Array | None:
    """The tangent kernel of the features after a layer; None: nothing trains so far."""
    if tangent is None:
        if not any(share):
            return None
        found = share[0] * covariance
    else:
        found = summed(tangent, axes, architecture, room, None if layer.skip else tangent)
        found *= layer.weight
        if share[0]:
            found += covariance if share[0] == 1.0 else share[0] * covariance
    if constant := (share[1] - share[0]) * layer.bias:
        found += constant
    found *= slope
    if layer.skip and tangent is not None:
        found += tangent
    return found


def _gram(images: Array, rows: slice, columns: slice, pairs: bool) -> Array:
    """Products of pixels of images i and j: of all pairs of them, or of equal ones."""
    left, right = images[:, :, rows], images[:, :, columns]
    return np.asarray(np.tensordot(left, right, (3, 3)) if pairs else left @ right.transpose(0, 1, 3, 2))


def _places(prepared: Prepared, chosen: slice) -> NDArray[np.intp]:
    """Where pixels of some images stand among raveled variances, shape (height · width, images)."""
    height, width, count = prepared.variances[0].shape
    found = np.arange(height * width)[:, None] * count + np.arange(chosen.start, chosen.stop)
    return np.asarray(found, dtype=np.intp)


def _dual(prepared: Prepared, h: int, covariance: Array, rows: slice, columns: slice) -> tuple[Array, Array]:
    evaluate = prepared.duals[h].evaluate
    left, right = _places(prepared, rows), _places(prepared, columns)
    shape = covariance.shape
    if covariance.ndim == 6:
        block = covariance.reshape(left.size, right.size)
        value, slope = evaluate(left.ravel(), right.ravel(), block, 1.0)
        return value.reshape(shape), slope.reshape(shape)
    by_pixel = covariance.reshape(-1, *shape[2:])
    found = [evaluate(i, j, each, 1.0) for i, j, each in zip(left, right, by_pixel, strict=True)]
    return np.stack([f[0] for f in found]).reshape(shape), np.stack([f[1] for f in found]).reshape(shape)


def _set_diagonal(covariance: Array, prepared: Prepared, h: int, rows: slice, columns: slice) -> None:
    """Puts the exact variances of equal pixels of equal images: rounding there is 1e-8 in the next angle."""
    height, width, _ = prepared.variances[h].shape
    for i, j in prepared.diagonal(rows, columns):
        exact = prepared.variances[h][:, :, rows.start + i]
        if covariance.ndim == 4:
            covariance[:, :, i, j] = exact
        else:
            y, x = np.ogrid[:height, :width]
            covariance[y, x, i, y, x, j] = exact


def _with_skip(
    features: Array, value: Array, prepared: Prepared, h: int, rows: slice, columns: slice
) -> Array:
    """F + branch (b_i s_j + s_i b_j) + branch² E[σσ'], s the branch's mean, b the features'."""
    layer, (mean, centre) = prepared.architecture.layers[h], prepared.means[h]
    left = [each[:, :, rows] for each in (mean, centre)]
    right = [each[:, :, columns] for each in (centre, mean)]
    if features.ndim == 6:
        cross = sum(np.multiply.outer(a, b) for a, b in zip(left, right, strict=True))
    else:
        cross = sum(a[..., None] * b[..., None, :] for a, b in zip(left, right, strict=True))
    return np.asarray(features + layer.branch * cross + value)


def summed(
    values: Array,
    axes: tuple[tuple[int, ...], ...],
    architecture: Architecture,
    room: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Σ_o values at p + o, of equal pixels or of pairs (p + o, p' + o): along heights, then along widths.

    Args:
        values: with heights and widths along `axes`.
        axes: those of heights, which move together, and those of widths.
        architecture: whose filter and padding.
        room: an array for what lies between; default: a new one.
        out: where the sums go, possibly the values' own array; default: a new one.

    >>> from widesweep.theory.activations import LINEAR
    >>> from widesweep.theory.convolution.architecture import plain
    >>> summed(np.ones((2, 3, 1)), EQUAL, plain(LINEAR, 1, 6, weight_variance=1.0))[..., 0]
    array([[4., 6., 4.],
           [4., 6., 4.]])
    """
    heights, widths = axes
    between = np.empty_like(values) if room is None else room
    _sum_along(values, heights, architecture, between)
    found = np.empty_like(values) if out is None else out
    _sum_along(between, widths, architecture, found)
    return found


def _sum_along(values: Array, together: tuple[int, ...], architecture: Architecture, out: Array) -> None:
    """Σ over shifts of the axes that move together."""
    reach = architecture.filter_size // 2
    np.copyto(out, values)
    for shift in (s for s in range(-reach, reach + 1) if s):
        pieces = [spans(values.shape[axis], shift, architecture.padding) for axis in together]
        for piece in product(*pieces):
            to, source = [slice(None)] * values.ndim, [slice(None)] * values.ndim
            for axis, (there, here) in zip(together, piece, strict=True):
                to[axis], source[axis] = there, here
            out[tuple(to)] += values[tuple(source)]


def _sum(values: Array) -> Array:
    return np.asarray(values.sum(axis=(0, 1)))


def _mean_of_pairs(values: Array) -> Array:
    return np.asarray(values.mean(axis=(0, 1, 3, 4)))
