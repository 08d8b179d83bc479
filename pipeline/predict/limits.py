"""Kernels of the infinite networks of a config and their spectra, each computed once, whatever is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.theory.activations import Activation
from widesweep.theory.infinite_width import du, two_layer
from widesweep.theory.spectrum import Spectrum, decomposition, eigenvalues_with_error
from widesweep.workers.networks.network import Network


@dataclass(frozen=True)
class Limit:
    """The limit of one network at one depth.

    Attributes:
        ntk: tangent kernel of one output αf over what trains, per unit of the kernel's scale, shape (n, n).
        nngp: covariance of one output αf at initialisation, shape (n, n).
        spectrum: of `ntk`.
    """

    ntk: np.ndarray
    nngp: np.ndarray
    spectrum: Spectrum


class Limits:
    """Limits on one set of points, kept by network and depth: axes of labels and of η share them.

    >>> from widesweep.workers.networks import FullyConnected
    >>> limits = Limits(np.eye(2))
    >>> limits.of(FullyConnected(), 1) is limits.of(FullyConnected(), 1)
    True
    """

    def __init__(self, x: np.ndarray) -> None:
        """Args: x, training points, shape (n, d)."""
        self._x, self._gram = x, x @ x.T
        self._limits: dict[tuple[Network, int], Limit] = {}
        self._lambda_zero: dict[tuple[Activation, int], tuple[float, float]] = {}

    def of(self, network: Network, depth: int) -> Limit:
        """The limit of a network at a depth."""
        key = (network, depth)
        if key not in self._limits:
            ntk, nngp = network.limit(network.kernel_input(self._x), depth)
            self._limits[key] = Limit(ntk, nngp, decomposition(ntk))
        return self._limits[key]

    def lambda_zero(self, activation: Activation, depth: int) -> tuple[float, float]:
        """Du's λ0 of a fully connected network, and its rounding error."""
        key = (activation, depth)
        if key not in self._lambda_zero:
            self._lambda_zero[key] = self._least(activation, depth)
        return self._lambda_zero[key]

    def _least(self, activation: Activation, depth: int) -> tuple[float, float]:
        if depth > 1:
            return du.du_kernels(self._gram, depth, activation).lambda_zero()
        hidden = two_layer.hidden_weights_kernel(self._gram, activation)
        eigenvalues, error = eigenvalues_with_error(hidden)
        return float(eigenvalues[0]), error
