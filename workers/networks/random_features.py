"""Random features: a fixed first layer, a linear model on top; least squares with a random kernel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from widesweep.theory.infinite_width.kernels import Kernels
from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import Network


class RandomFeatures(Network):
    """f(x) = (1/√m) Σ_r a_r σ(w_r·x), w_r ~ N(0, I) fixed, a_r ~ N(0, 1) trained.

    With Φ = σ(XWᵀ)/√m the tangent kernel is ΦΦᵀ at every step: the loss is convex, the residual is exactly
    (I − ηΦΦᵀ)^k r(0), and its rate is set by λ_min(ΦΦᵀ), positive iff Φ has full row rank.

    Source: Rahimi & Recht 2007; Arora et al. 2019, arXiv:1901.08584, for the contrast with trained weights.

    >>> RandomFeatures().layers(width=16, depth=1, inputs=3)[0].trains
    False
    """

    kind: Literal["random_features"] = "random_features"
    trains: Literal["last"] = "last"

    @cached_property
    def sampled_as(self) -> FullyConnected:
        """The same function as a fully connected network of C_W = 1."""
        return FullyConnected(
            activation=self.activation,
            weight_variance=1.0,
            trains="last",
            output_scale=self.output_scale,
            centered=self.centered,
        )

    def allowed_depths(self) -> tuple[int, ...]:
        """One hidden layer."""
        return (1,)

    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """The fixed features and the weights on top."""
        return self.sampled_as.layers(width, depth, inputs, outputs)

    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """Infinite-width kernels; the last layer's is E[σ(w·x)σ(w·x')]."""
        return self.sampled_as.kernels(gram, depth)

    def kernel_scale(self, width: int, depth: int) -> float:
        """1."""
        return 1.0

    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """κ_{2k}/K^k of one output at initialisation."""
        return self.sampled_as.predicted_cumulants(width, depth, orders)
