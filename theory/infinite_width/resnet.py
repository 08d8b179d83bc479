"""Kernels of the residual network x^(1) = √(c_σ/m) σ(Wx), x^(h) = x^(h−1) + (c_res/(H√m)) σ(W x^(h−1))."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array, as_symmetric
from widesweep.theory.infinite_width.du import activation_scale
from widesweep.theory.infinite_width.duals import dual, first_moment
from widesweep.theory.infinite_width.kernels import Kernels


def resnet_kernels(
    gram: ArrayLike, depth: int, activation: Activation, *, residual_scale: float = 1.0
) -> Kernels:
    """K^(h) = K^(h−1) + (c/H)(b_i s_j + b_j s_i) + (c/H)² E[σ(u)σ(v)], s = E[σ(u)], b ← b + (c/H)s.

    b_i is the limit of Σ_r x_r^(h)(i)/√m: the skip's features are not centred, so the product of the skip
    with the new branch does not vanish. Tangent parts: layer H has (c/H)² K^(H−1) ∘ E[σ'σ'], and each
    layer further down one factor 1 + (c/H)² E[σ'σ'] of the layer above; layer 1 has c_σ in place of
    (c/H)², the output layer K^(H).

    Args:
        gram: x·x', shape (n, n), symmetric.
        depth: H ≥ 1 hidden layers, the first without a skip.
        activation: σ.
        residual_scale: c_res > 0.

    Returns:
        `nngp` K^(H), `layer_ntk` of layers 1 … H and the output, `hidden_nngp` K^(0) … K^(H).

    Raises:
        ValueError: depth below 1, c_res not positive, or a Gram matrix that is not symmetric.

    Source: Du et al. 2018, arXiv:1811.03804, for K^(h) and the last layer; the lower layers are derived here.

    >>> from widesweep.theory.activations import RELU
    >>> resnet_kernels(np.eye(1), 2, RELU, residual_scale=1.0).layer_ntk.ravel().round(4)
    array([1.125 , 0.125 , 1.3501])
    """
    features = [as_symmetric(gram, "gram")]
    if depth < 1 or not residual_scale > 0.0:
        raise ValueError(
            f"depth {depth}, residual_scale {residual_scale}: 1 or more, and above 0, are wanted."
        )
    scale = activation_scale(activation)
    step = residual_scale / depth
    factors, errors = [], []
    means = np.zeros(features[0].shape[0])
    for h in range(1, depth + 1):
        now = features[-1]
        variances = np.ascontiguousarray(np.diagonal(now))
        value, slope, error = dual(activation, variances, variances, now)
        centre = first_moment(activation, variances)
        skip = step * (np.outer(means, centre) + np.outer(centre, means))
        features.append(scale * value if h == 1 else now + skip + step**2 * value)
        means = math.sqrt(scale) * centre if h == 1 else means + step * centre
        factors.append((scale if h == 1 else step**2) * slope)
        errors.append(error)
    return Kernels(features[-1], _parts(features, factors), np.stack(features), max(errors))


def _parts(features: list[Array], factors: list[Array]) -> Array:
    """Tangent parts of layers 1 … H and the output from K^(0) … K^(H) and the layers' slopes."""
    backward = np.ones_like(features[0])
    parts = [features[-1]]
    for h in range(len(factors) - 1, -1, -1):
        parts.append(features[h] * factors[h] * backward)
        backward = backward * (1.0 + factors[h])
    return np.stack(parts[::-1])
