"""Where the cells of a batch begin: networks at step 0, one for each seed, and what is measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from torch import Tensor

from workers.ensemble import Ensemble
from workers.networks.base import Network
from workers.networks.layers import Layer
from workers.norms import extreme_eigenvalues, frobenius, operator_norm


class Start:
    """S networks at initialisation on the training points; each quantity is computed when first asked for.

    Attributes:
        coordinates: (config seed, width, depth, cell seed) of each start.
        targets: y, shape (n,).
        ensemble: the networks at step 0, after forward and backward; never moved.
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[Layer],
        coordinates: Sequence[tuple[int, ...]],
        parameters: Sequence[tuple[list[Tensor], list[Tensor | None]]],
        x: Tensor,
        targets: Tensor,
    ) -> None:
        """Puts the networks on the points.

        Args:
            network: what the layers belong to.
            layers: sizes and scales.
            coordinates: of each start.
            parameters: what `initial_parameters` gave, for each start.
            x: inputs, shape (n, d).
            targets: y, shape (n,).
        """
        self.network, self.layers, self.parameters = network, layers, parameters
        self.coordinates, self.targets = coordinates, targets
        self.ensemble = self.batch(np.arange(len(parameters)), np.ones(len(parameters)), x)
        self.ensemble.forward()
        self.ensemble.backward()

    def batch(self, start: np.ndarray, learning_rates: np.ndarray, x: Tensor | None = None) -> Ensemble:
        """Cells that begin here.

        Args:
            start: of each cell, which start it begins from, shape (B,).
            learning_rates: η of each cell, shape (B,).
            x: inputs, shape (n, d); the training points unless given.
        """
        points = self.ensemble.x[0] if x is None else x
        return Ensemble(self.network, self.layers, self.parameters, start, learning_rates, points)

    @cached_property
    def residual(self) -> Tensor:
        """r(0) = αf − y, shape (S, n)."""
        return self.ensemble.outputs - self.targets

    @cached_property
    def kernel(self) -> Tensor:
        """G(0), shape (S, n, n)."""
        return self.ensemble.tangent_kernel()

    @cached_property
    def extreme_eigenvalues(self) -> tuple[Tensor, Tensor]:
        """λ_min and λ_max of G(0), each of shape (S,)."""
        return extreme_eigenvalues(self.kernel)

    @cached_property
    def pattern(self) -> Tensor:
        """z_1(0) > 0, shape (S, n, m)."""
        return self.ensemble.pre_activations[0] > 0

    @cached_property
    def frobenius_norms(self) -> list[Tensor]:
        """‖W^(h)(0)‖_F of each layer, shape (S,)."""
        return [frobenius(w) for w in self.ensemble.initial_weights]

    @cached_property
    def operator_norms(self) -> list[Tensor]:
        """‖W^(h)(0)‖₂ of each layer, shape (S,)."""
        return [operator_norm(w) for w in self.ensemble.initial_weights]
