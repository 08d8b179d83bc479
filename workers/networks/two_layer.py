"""The two-layer network of Du et al. and Arora et al.: random signs on top."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.infinite_width.kernels import Kernels, fully_connected_kernels
from widesweep.workers.jackknife import cumulants_from_moments
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import FirstName, Network


class TwoLayer(Network):
    """f(x) = (1/√m) Σ_r a_r σ(w_rᵀx), w_r ~ N(0, I), a_r = ±1; 1/m in place of 1/√m under `mup`.

    With K outputs it is f = Vσ(Wx)/√m, V of shape (K, m) with entries ±1; under `trains: hidden` V is fixed.

    Source: Du et al. 2018, arXiv:1810.02054; Arora et al. 2019, arXiv:1901.08584; Oymak et al. 2019,
    arXiv:1906.05392, for K outputs.

    Attributes:
        parameterization: `ntk` has 1/√m in front, `mup` (or `mean_field`) 1/m.

    >>> TwoLayer().layers(width=16, depth=1, inputs=3)[1].weight_scale
    0.25
    """

    kind: Literal["two_layer"] = "two_layer"
    parameterization: Annotated[Literal["ntk", "mup"], FirstName] = "ntk"

    def allowed_depths(self) -> tuple[int, ...]:
        """One hidden layer."""
        return (1,)

    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """The hidden layer and the signs on top."""
        scale = 1.0 / width if self.parameterization == "mup" else 1.0 / math.sqrt(width)
        return (
            Layer(inputs, width, trains=self.trains != "last"),
            Layer(width, outputs, weight_scale=scale, signs=True, trains=self.trains != "hidden"),
        )

    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """Infinite-width kernels; the hidden layer's is H^∞ (under `mup` those of √m f)."""
        return fully_connected_kernels(gram, depth, self.activation_object(), weight_variance=1.0)

    def output_covariance(self, gram: np.ndarray, depth: int) -> np.ndarray:
        """Covariance of αf over initialisations as width grows; 0 under `mup`."""
        if self.parameterization == "mup":
            return np.zeros_like(gram)
        return super().output_covariance(gram, depth)

    def kernel_scale(self, width: int, depth: int) -> float:
        """1, or 1/m under `mup`."""
        return 1.0 / width if self.parameterization == "mup" else 1.0

    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """κ_{2k}/K^k of one output: exact, a sum of m independent terms a σ(g).

        κ_{2k}(f) = m^{1−k} κ_{2k}(aσ(g)) as cumulants of independent terms add; the moments E[σ(g)^j]
        come by Gauss–Legendre quadrature on each half line.
        """
        moments = symmetric_moments(self.activation_object(), max(orders))
        term = cumulants_from_moments(moments)
        values = [term[order] / term[2] ** (order // 2) * width ** (1 - order // 2) for order in orders]
        return np.array(values), "exact"


def symmetric_moments(activation: Activation, highest: int) -> np.ndarray:
    """E[(aσ(g))^j] for j = 0…highest, a = ±1, g ~ N(0,1): odd ones vanish; shape (highest + 1,)."""
    nodes, weights = half_normal_rule()
    values = np.concatenate([activation.value(nodes), activation.value(-nodes)])
    weights = np.concatenate([weights, weights]) / 2.0
    return np.array([0.0 if j % 2 else float(weights @ values**j) for j in range(highest + 1)])


def half_normal_rule(points: int = 200, cut: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights for E[h(|g|)], |g| < cut (the rest weighs less than 1e-43)."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    x = 0.5 * cut * (nodes + 1.0)
    return x, 0.5 * cut * weights * np.sqrt(2.0 / np.pi) * np.exp(-0.5 * x**2)
