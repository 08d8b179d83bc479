"""Where the cells of a batch begin: networks at step 0, one for each seed, and what is measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine.backend import BackendName
from widesweep.workers.engine.convolutional_ensemble import ConvolutionalEnsemble
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.module_ensemble import ModuleEnsemble
from widesweep.workers.engine.norms import (
    eigenpairs,
    extreme_eigenvalues,
    frobenius,
    operator_norm,
    rows_times,
)
from widesweep.workers.engine.pre_activations import pre_activations
from widesweep.workers.engine.tangent_kernels import layer_tangent_kernels, tangent_kernel
from widesweep.workers.losses.loss_function import Loss
from widesweep.workers.networks.convolutional import Convolutional
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.module import Module
from widesweep.workers.networks.network import Network


@dataclass(frozen=True)
class Points:
    """Training points x (n, d), labels y (n·K,), sample-major, and test points likewise, possibly none."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


class Settings(Protocol):
    """The part of an optimiser's config that the loss and measurements read."""

    @property
    def loss_function(self) -> Loss:
        """What training makes small."""

    @property
    def information_cutoff(self) -> float:
        """Where `subspaces` splits the spectrum, as a share of the Jacobian's largest singular value."""

    def mode_factors(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray:
        """p_k(λ) of the linearised model, shape (steps, n)."""


class InitialState:
    """S networks at initialisation on the training points; each quantity is computed when first read.

    Attributes:
        network: their config.
        training: how cells go on from here.
        coordinates: (config seed, width, depth, cell seed) of each start.
        points: what the networks are trained and tested on.
        targets: y, shape (n·K,), sample-major as all outputs are.
        loss: what training makes small.
        ensemble: the networks at step 0, after their forward pass; never moved.
    """

    def __init__(
        self,
        network: Network,
        training: Settings,
        layers: Sequence[Layer],
        coordinates: Sequence[tuple[int, ...]],
        parameters: Sequence[tuple[list[Tensor], list[Tensor | None]]],
        points: Points,
        backend: BackendName = "compiled",
    ) -> None:
        """Puts the networks on the points.

        Args:
            network: what the layers belong to.
            training: how cells go on from here.
            layers: sizes and scales.
            coordinates: of each start.
            parameters: what `initial_parameters` gave, for each start.
            points: training and test points.
            backend: what computes the passes of every batch that begins here.
        """
        self.network, self.training = network, training
        self.layers, self.parameters, self.backend = layers, parameters, backend
        self.coordinates, self.points, self.targets = coordinates, points, points.y
        self.loss = training.loss_function
        self.ensemble = self.batch(np.arange(len(parameters)), np.ones(len(parameters)))
        self.ensemble.forward()

    def batch(self, start: np.ndarray, learning_rates: np.ndarray) -> Ensemble:
        """Cells that begin here, on the training points.

        Args:
            start: of each cell, which start it begins from, shape (B,).
            learning_rates: η of each cell, shape (B,).
        """
        if isinstance(self.network, Module):
            inputs, outputs = self.points.x.shape[1], self.layers[-1].fan_out
            module = self.network.built(self.coordinates[0], inputs, outputs)
            return ModuleEnsemble(
                module, self.network, self.layers, self.parameters, start, learning_rates, self.points.x
            )
        if isinstance(self.network, Convolutional):
            return ConvolutionalEnsemble(
                self.network,
                self.layers,
                self.parameters,
                start,
                learning_rates,
                self.points.x,
                self.backend,
            )
        return Ensemble(
            self.network, self.layers, self.parameters, start, learning_rates, self.points.x, self.backend
        )

    def residual_of(self, outputs: Tensor, targets: Tensor | None = None) -> Tensor:
        """r = ∂L/∂(αf): αf − y under the squared loss, shape (B, n·K).

        Args:
            outputs: αf, shape (B, n·K).
            targets: their labels; default: those of the training points.
        """
        return self.loss.residual(
            outputs, self.targets if targets is None else targets, self.layers[-1].fan_out
        )

    @property
    def capture_device(self) -> torch.device:
        """Where steps may be captured as a graph: not where the loss is differentiated by autograd."""
        return self.ensemble.capture_device if self.loss.derivative is not None else torch.device("cpu")

    @cached_property
    def residual(self) -> Tensor:
        """r(0), shape (S, n·K)."""
        return self.residual_of(self.ensemble.outputs)

    @cached_property
    def kernel(self) -> Tensor:
        """G(0), shape (S, n·K, n·K)."""
        return tangent_kernel(self.ensemble)

    @cached_property
    def extreme_eigenvalues(self) -> tuple[Tensor, Tensor]:
        """λ_min and λ_max of G(0), each of shape (S,)."""
        return extreme_eigenvalues(self.kernel)

    @cached_property
    def pattern(self) -> Tensor:
        """z_1(0) > 0, shape (S, n, m)."""
        return self.ensemble.pre_activations[0] > 0

    @cached_property
    def pre_activations(self) -> list[Tensor]:
        """z_h(0) of every layer, shape (S, n, fan_out)."""
        return pre_activations(self.ensemble)

    @cached_property
    def frobenius_norms(self) -> list[Tensor]:
        """‖W^(h)(0)‖_F of each layer, shape (S,)."""
        return [frobenius(w) for w in self.ensemble.initial_weights]

    @cached_property
    def operator_norms(self) -> list[Tensor]:
        """‖W^(h)(0)‖₂ of each layer, shape (S,)."""
        return [operator_norm(w) for w in self.ensemble.initial_weights]

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of G(0), ascending, (S, n·K), and eigenvectors as columns, v_i·r(0) ≥ 0."""
        values, vectors = eigenpairs(self.kernel)
        along = rows_times(self.residual, vectors)[:, None]
        return values, torch.where(along < 0, -vectors, vectors)

    @cached_property
    def layer_kernels(self) -> list[Tensor | None]:
        """G^(h)(0) of each layer, shape (S, n·K, n·K); None: the layer does not train."""
        return layer_tangent_kernels(self.ensemble)

    @cached_property
    def test(self) -> Ensemble:
        """The networks at step 0 on the test points, after their forward pass."""
        view = self.ensemble.at(self.points.test_x)
        view.forward()
        return view

    @cached_property
    def test_kernel(self) -> Tensor:
        """G(0) between test and training points, shape (S, n_test·K, n·K)."""
        return tangent_kernel(self.test, self.ensemble)

    @cached_property
    def test_offset(self) -> Tensor | None:
        """αf(0) on the test points where the model is centred, shape (S, n_test·K)."""
        return self.test.outputs if self.network.centered else None

    @cached_property
    def least_limit_eigenvalue(self) -> float:
        """Du's λ0: λ_min of the last hidden layer's kernel as width grows, at this width's scale."""
        _, width, depth, _ = self.coordinates[0]
        x = self.points.x.to("cpu", torch.float64).numpy()
        part = self.network.kernels(self.network.kernel_input(x), depth).layer_ntk[depth - 1]
        scale = self.network.alpha**2 * self.network.kernel_scale(width, depth)
        return float(scale * np.linalg.eigvalsh(part)[0])
