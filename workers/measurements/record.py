"""One recorded step of a batch: what measurements read, each thing computed once."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from widesweep.workers.engine.curvature import sharpness
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState
from widesweep.workers.engine.linearized_state import LinearizedState, linearized_state
from widesweep.workers.engine.norms import eigenpairs
from widesweep.workers.engine.pre_activations import pre_activations
from widesweep.workers.engine.tangent_kernels import layer_tangent_kernels, tangent_kernel


class Record:
    """A batch at a recorded step, after its forward pass; n·K outputs lie side by side, sample-major.

    Attributes:
        step: k.
        residual: r = ∂L/∂(αf), αf − y under the squared loss, shape (B, n·K).
        initial: the initial state of its cells.
        start_of_cell: which initial network a cell began from, shape (B,).
        learning_rates: η of each cell, shape (B,).
        ensemble: the batch itself; a measurement that reads it declares it among its NEEDS.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        residual: Tensor,
        initial: InitialState,
        step: int,
        kernel: Tensor | None = None,
    ) -> None:
        """Binds a batch to its initial state.

        Args:
            ensemble: the batch, after its forward pass; where the kernel is given, at any step.
            residual: r at the step, shape (B, n·K).
            initial: where its cells began.
            step: the step.
            kernel: G there, if it is known; then nothing but r and G may be measured.
        """
        self.step = step
        self._kernel = kernel
        self.ensemble = ensemble
        self.residual = residual
        self.initial = initial
        self.start_of_cell, self.learning_rates = ensemble.start, ensemble.learning_rates.flatten()

    @cached_property
    def outputs(self) -> Tensor:
        """αf, shape (B, n·K)."""
        if self.initial.loss.is_squared:  # of which the batch may have moved on
            return self.residual + self.initial.targets
        return self.ensemble.outputs

    @property
    def loss(self) -> Tensor:
        """L, shape (B,)."""
        if self.initial.loss.is_squared:
            return 0.5 * self.residual.square().sum(1)
        return self.initial.loss.total(self.outputs, self.initial.targets, self.output_count)

    @property
    def output_count(self) -> int:
        """K."""
        return self.initial.layers[-1].fan_out

    @cached_property
    def kernel(self) -> Tensor:
        """G(k), shape (B, n·K, n·K)."""
        return tangent_kernel(self.ensemble) if self._kernel is None else self._kernel

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of G(k), ascending, (B, n·K), and eigenvectors as columns."""
        return eigenpairs(self.kernel)

    @cached_property
    def layer_kernels(self) -> list[Tensor | None]:
        """G^(h)(k) of each layer, shape (B, n·K, n·K); None: the layer does not train."""
        return layer_tangent_kernels(self.ensemble)

    @cached_property
    def output_step(self) -> Tensor:
        """u(k+1) − u(k) of one step of gradient descent from here, whatever the optimiser, (B, n·K).

        Made on a copy: the batch itself does not move.
        """
        probe = self.ensemble.copied()
        before = probe.forward().clone()
        probe.step(self.residual)
        return probe.forward() - before

    @cached_property
    def linearized(self) -> LinearizedState:
        """The model linearised at the start, trained as long."""
        return linearized_state(self.initial, self.ensemble, self.step)

    @cached_property
    def test_outputs(self) -> Tensor:
        """Outputs on the test points, shape (B, n_test·K)."""
        outputs = self.ensemble.at(self.initial.points.test_x).forward()
        offset = self.initial.test_offset
        return outputs if offset is None else outputs - offset[self.start_of_cell]

    @cached_property
    def weight_changes(self) -> list[Tensor | None]:
        """W^(h)(k) − W^(h)(0) of each layer, shape (B, fan_in, fan_out); None: the layer does not train."""
        e = self.ensemble
        return [
            _difference(w, w0, e.start) if layer.trains else None
            for layer, w, w0 in zip(e.layers, e.weights, e.initial_weights, strict=True)
        ]

    @cached_property
    def sharpness(self) -> Tensor:
        """λ_max of the loss's Hessian, shape (B,)."""
        return sharpness(self.ensemble, self.initial.residual_of)

    @cached_property
    def pre_activations(self) -> list[Tensor]:
        """z_h of every layer, shape (B, n, fan_out)."""
        return pre_activations(self.ensemble)

    @cached_property
    def pattern(self) -> Tensor:
        """Signs of the first layer's pre-activations, z_1 > 0, shape (B, n, m)."""
        return self.ensemble.pre_activations[0] > 0


def _difference(weights: Tensor, initial: Tensor, start: Tensor) -> Tensor:
    """W − W(0) of each cell, through one array."""
    change = initial.index_select(0, start)
    return torch.sub(weights, change, out=change)
