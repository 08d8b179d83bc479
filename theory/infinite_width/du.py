"""Kernels in the notation of Du et al.: `du` parameterisation, x^(h) = √(c_σ/m) σ(W x^(h−1)), f = aᵀx^(H)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from widesweep.theory.activations import Activation
from widesweep.theory.arrays import Array
from widesweep.theory.infinite_width.duals import second_moments
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.spectrum import eigenvalues_with_error


@dataclass(frozen=True)
class DuKernels:
    """Du's kernels of H hidden layers on n points.

    Args:
        features: K^(0) … K^(H), limits of x^(h)·x^(h)', shape (H + 1, n, n); the output's covariance is
            the last.
        last_hidden_ntk: tangent kernel of the last hidden layer's weights, which Du et al. also call
            K^(H); (n, n).
        ntk: tangent kernel over all weights, the output's included, shape (n, n).
        scale: c_σ.
    """

    features: Array
    last_hidden_ntk: Array
    ntk: Array
    scale: float

    def lambda_zero(self) -> tuple[float, float]:
        """Du's λ0 = λ_min of the last hidden layer's tangent kernel, and its rounding error.

        Returns:
            λ0 and the error; a λ0 below the error is indistinguishable from 0.

        >>> from widesweep.theory.activations import LINEAR
        >>> du_kernels(np.eye(2), 1, LINEAR).lambda_zero()[0]
        1.0
        """
        eigenvalues, error = eigenvalues_with_error(self.last_hidden_ntk)
        return float(eigenvalues[0]), error


def activation_scale(activation: Activation) -> float:
    """c_σ = 1/E[σ(g)²], g ~ N(0, 1), so that features of unit norm keep it.

    Args:
        activation: σ.

    Returns:
        c_σ.

    Source: Du et al. 2018, arXiv:1811.03804, where x^(h) is defined.

    >>> from widesweep.theory.activations import RELU
    >>> activation_scale(RELU)
    2.0
    """
    return 1.0 / float(second_moments(activation, np.ones(1))[0][0])


def du_kernels(gram: ArrayLike, depth: int, activation: Activation) -> DuKernels:
    """K^(0) = XXᵀ, K^(h) = c_σE[σ(u)σ(v)], and c_σK^(H−1) ∘ E[σ'(u)σ'(v)], (u, v) ~ N(0, K^(h−1)).

    Convention: the output weights a are N(0, 1), and E[a²] = 1 in the last hidden layer's kernel.

    Args:
        gram: XXᵀ, shape (n, n), symmetric; unit diagonal in Du's theorems.
        depth: H ≥ 1 hidden layers.
        activation: σ.

    Returns:
        The kernels.

    Raises:
        ValueError: depth below 1, or a Gram matrix that is not symmetric.

    Source: Du et al. 2018, arXiv:1811.03804, the Gram matrices of the fully connected network.

    >>> from widesweep.theory.activations import RELU
    >>> kernels = du_kernels(np.eye(2), 2, RELU)
    >>> kernels.features[1].round(4)
    array([[1.    , 0.3183], [0.3183, 1.    ]])
    >>> kernels.last_hidden_ntk.round(4)
    array([[1.   , 0.192], [0.192, 1.   ]])
    """
    if depth < 1:
        raise ValueError(f"depth {depth}: Du's last hidden layer needs one, so H is 1 or more.")
    scale = activation_scale(activation)
    kernels = fully_connected_kernels(
        gram, depth, activation, weight_variance=scale, first_weight_variance=1.0
    )
    return DuKernels(kernels.hidden_nngp, kernels.layer_ntk[depth - 1], kernels.ntk(), scale)
