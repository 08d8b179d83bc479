"""Many networks of one shape as one batch: forward, backward, update in place.

With K outputs a sample's outputs lie side by side: αf and residuals are (B, n·K), sample-major.

The backward pass of one output (`backward`) carries that output's cotangent, D_h(i) = ∂(αf_i)/∂z_h(i), in
place of the loss's: the gradient is A_{h−1}ᵀ(r ∘ D_h), and the tangent kernel takes the same arrays. With K
outputs, and over several steps (`descend_from`), the gradient takes Σ_a r_ia D_h(ia), carried as one row for
each sample: 1/K of the operations of K unit cotangents. Those are carried when a measurement asks for them,
so that a step costs what it costs with one output, and no measurement has a say in the trajectory.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.activations import tensor_activation
from widesweep.workers.engine.backend import BACKENDS, BackendName
from widesweep.workers.engine.batch import InputSpaceUpdate
from widesweep.workers.engine.compiled import sync_step
from widesweep.workers.engine.cotangents import Cotangents
from widesweep.workers.engine.parameters import Parameters
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import Network


class Ensemble:
    """B networks of one shape with their own weights and learning rates.

    Attributes:
        layers: sizes and scales, first to output.
        initial_weights: W(0) of each layer for S starts, shape (S, fan_in, fan_out).
        start: which of the S starts a cell began from, shape (B,).
        weights: W of each layer, shape (B, fan_in, fan_out).
        inputs: A_{h−1} of each layer: the data (1, n, d), then activations (B, n, m).
        pre_activations: z_h of the hidden layers, shape (B, n, m); the activations where they suffice.
        output_layer: the last layer's z, shape (B, n, K).
        outputs: αf (minus its start, if centred), shape (B, n·K), sample-major.
        output_count: K.
        lowest_moving: the lowest layer that the forward pass computes; those below are as they were.
        input_space_update: the first layer in a segment of descent; see `input_space_update.in_input_space`.
        room_for_update: its arrays, the same in every segment, once there was one.
        backend: what computes its products, and says whether its passes are compiled loops.
        is_compiled: whether they are.
        width_of_outputs: n·K.
        multiplications: those of a forward pass.
        tables: where compiled passes find all of this, by cotangents and cores.
    """

    is_dense = True  # whether a sample is one row of every layer's product, and inputs are layer 1's rows
    cotangents_type: type[Cotangents] = Cotangents
    keeps_step_arrays = True  # whether a step leaves what tangent kernels are made of as it was before it

    def __init__(
        self,
        network: Network,
        layers: Sequence[Layer],
        starts: Sequence[tuple[list[Tensor], list[Tensor | None]]],
        start: Sequence[int] | np.ndarray,
        learning_rates: np.ndarray,
        x: Tensor,
        backend: BackendName = "compiled",
    ) -> None:
        """Copies the starts into a batch.

        Args:
            network: what the layers belong to.
            layers: sizes and scales.
            starts: what `initial_parameters` gave, for each of S seeds.
            start: for each of B cells the start that it begins from.
            learning_rates: η of each cell, shape (B,).
            x: inputs, shape (n, d).
            backend: what computes its passes.
        """
        self.layers = tuple(layers)
        self.output_count = self.layers[-1].fan_out
        self.activation = tensor_activation(network.activation)
        self.output_scale = network.alpha
        self.initial_weights = [torch.stack([s[0][h] for s in starts]) for h in range(len(layers))]
        self.initial_biases = [
            torch.stack([present(s[1][h]) for s in starts]) if layer.bias_scale else None
            for h, layer in enumerate(layers)
        ]
        self.start = torch.as_tensor(np.asarray(start), device=x.device)
        self.weights = [memory_layout.copy(w[self.start]) for w in self.initial_weights]
        self.biases = [None if b is None else b[self.start] for b in self.initial_biases]
        self.learning_rates = torch.as_tensor(learning_rates, dtype=x.dtype, device=x.device)[:, None, None]
        self.x = _by_feature(x[None])
        self.input_space_update: InputSpaceUpdate | None = None
        self.lowest_moving = 0
        self.backend = BACKENDS[backend]
        self.is_compiled = self.is_dense and self.backend.has_loops(self)
        self._allocate()
        self.offset: Tensor | None = None
        self.outputs: Tensor = self.forward()
        if network.centered:
            self.offset = self.outputs.clone()

    def __len__(self) -> int:
        """Cells in the batch."""
        return len(self.start)

    def _allocate(self) -> None:
        def make(columns: int) -> Tensor:
            return memory_layout.by_feature(self.x, len(self), self.x.shape[1], columns)

        hidden = [layer.fan_out for layer in self.layers[:-1]]
        self.pre_activations = [make(m) for m in hidden]
        own = self.activation.keeps_input or any(layer.branches for layer in self.layers)
        activations = [make(m) for m in hidden] if own else self.pre_activations
        self.inputs = [self.x.expand(len(self), -1, -1), *activations]
        self._scaled = [make(layer.fan_out) if layer.trains else None for layer in self.layers]
        self.output_layer = make(self.output_count)
        self.room_for_update: InputSpaceUpdate | None = None
        self.width_of_outputs = self.x.shape[1] * self.output_count
        weights = sum(layer.fan_in * layer.fan_out for layer in self.layers)
        self.multiplications = len(self) * self.x.shape[1] * weights
        self.tables: dict[tuple[Any, int], Any] = {}
        self._input_gram: Tensor | None = None
        self._units: Cotangents | None = None
        self._units_are_fresh = False
        self._weighted: Cotangents | None = None

    def forward(self) -> Tensor:
        """Outputs αf of every cell on every sample (minus those at the start, if centred), shape (B, n·K)."""
        self._units_are_fresh = False
        if sync_step.computes(self):
            self.outputs = sync_step.forward_pass(self)
            return self.outputs
        self._forward()
        self.outputs = self.output_layer.flatten(1) * self.output_scale
        if self.offset is not None:
            self.outputs -= self.offset
        return self.outputs

    def _forward(self) -> None:
        """One layer after another by products of the whole batch."""
        for h in range(self.lowest_moving, len(self.layers)):
            last = h == len(self.layers) - 1
            z = self.output_layer if last else self.pre_activations[h]
            if h == 0 and self.input_space_update is not None:
                self.input_space_update.product(z, self.multiply)
            else:
                self.product(h, z)
            if not last:
                self._activate(h)

    def multiply(self, a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
        """out ← α a b + β out, for each matrix of the batch, by its backend."""
        self.backend.multiply(a, b, out, alpha, beta)

    @property
    def capture_device(self) -> torch.device:
        """Where its steps may be captured as a graph."""
        return self.x.device

    @property
    def input_gram(self) -> Tensor | None:
        """s₁²XXᵀ + t₁² of inputs that all cells share, shape (1, n, n); None where each has its own."""
        if self._input_gram is None and len(self.x) == 1:
            layer = self.layers[0]
            gram = torch.bmm(self.x, self.x.transpose(1, 2))
            self._input_gram = gram.mul_(layer.weight_scale**2).add_(layer.bias_scale**2)
        return self._input_gram

    def product(self, h: int, z: Tensor) -> None:
        """z = s_h A_{h−1} W_h + t_h b_h.

        Args:
            h: the layer's place, from 0.
            z: where it goes, shape (B, n, fan_out).
        """
        layer, bias = self.layers[h], self.biases[h]
        if bias is not None:
            z.copy_(bias)
        beta = 0.0 if bias is None else layer.bias_scale
        self.multiply(self.inputs[h], self.weights[h], z, layer.weight_scale, beta)

    def _activate(self, h: int) -> None:
        """A_h from z_h; where a branch is scaled or added, z_h keeps what the derivative needs."""
        layer, z, a = self.layers[h], self.pre_activations[h], self.inputs[h + 1]
        if not layer.branches:
            self.activation.apply(z, a)
            return
        branch = a if self.activation.keeps_input else z
        self.activation.apply(z, branch)
        torch.mul(branch, layer.branch_scale, out=a)
        if layer.skip:
            a.add_(self.inputs[h])

    @property
    def unit_cotangents(self) -> Cotangents:
        """D_h of each single output, n·K rows: what tangent kernels are made of, carried when first read."""
        units = self._room_for_units()
        if not self._units_are_fresh:
            units.carry(self)
            self._units_are_fresh = True
        return units

    def _room_for_units(self) -> Cotangents:
        if self._units is None:
            self._units = self.cotangents_type.of_each_output(self)
        return self._units

    def backward(self, residual: Tensor) -> None:
        """Makes ready what `subtract_gradient` takes, at the parameters of the last forward pass.

        Args:
            residual: r = αf − y, or r times weights of its entries, shape (B, n·K).
        """
        if self.output_count == 1:
            self._gradient = self.unit_cotangents, residual[..., None]
        else:
            self._gradient = self._carried(residual), residual.new_ones(())

    def _carried(self, residual: Tensor) -> Cotangents:
        """Σ_a r_a D_h(a): one row for each sample."""
        room = self.room_for_cotangents
        room.carry(self, residual.view(len(self), self.x.shape[1], self.output_count))
        return room

    @property
    def room_for_cotangents(self) -> Cotangents:
        """Arrays for one row of cotangents at each sample."""
        if self._weighted is None:
            self._weighted = self.cotangents_type(self, 1)
        return self._weighted

    def step(self, residual: Tensor) -> None:
        """One step of gradient descent in place, W_h ← W_h − η s_h A_{h−1}ᵀ Σ_a r_a D_h(a), biases too.

        Of one output the unit cotangents of the last forward pass are there then, as it was before the step.

        Args:
            residual: as for `backward`.
        """
        if not sync_step.computes(self):
            self.backward(residual)
            self.subtract_gradient(self.learning_rates, self.trained)
        elif self.output_count > 1:
            sync_step.step(self, self.room_for_cotangents, residual, carried=False)
        else:
            sync_step.step(self, self._room_for_units(), residual, carried=self._units_are_fresh)
            self._units_are_fresh = True

    def steps(self, targets: Tensor, count: int, *, kernels: bool) -> tuple[Tensor, Tensor | None]:
        """`count` times a forward pass, the tangent kernel and a `step`, to the bit; if compiled, K = 1.

        Args:
            targets: y, shape (n,).
            count: how many steps.
            kernels: whether they are wanted.

        Returns:
            r before each step, shape (count, B, n), and G, shape (count, B, n, n), or none; outputs are lost.
        """
        self._units_are_fresh = False
        return sync_step.steps(self, self._room_for_units(), targets, count, kernels=kernels)

    def descend_from(self, residual: Tensor) -> None:
        """A `step` without unit cotangents: those that are carried hold ηr, and need no scaling after.

        Args:
            residual: r = αf − y at the last forward pass, shape (B, n·K).
        """
        carried, target = self._carried(residual * self.learning_rates[:, 0]), self.trained
        for h, layer in enumerate(self.layers):
            if layer.trains:
                self._move(h, carried.layers[h], target)

    def subtract_gradient(self, size: Tensor | float, target: Parameters) -> None:
        """T_h ← T_h − size · s_h A_{h−1}ᵀ Σ_a r_a D_h(a) in place for all that trains; biases likewise.

        Args:
            size: what multiplies a cell's gradient, such as η, shape (B, 1, 1) or one number.
            target: the arrays to subtract from: `trained`, or some of `zeros`.
        """
        cotangents, weight = self._gradient
        step = weight * size
        for h, scaled in enumerate(self._scaled):
            if scaled is not None:
                self._move(h, torch.mul(cotangents.layers[h], step, out=scaled), target)

    def _move(self, h: int, scaled: Tensor, target: Parameters) -> None:
        if h == 0 and self.input_space_update is not None:
            self.input_space_update.moved.add_(scaled)
        else:
            self.subtract_from_layer(h, scaled, target)

    def subtract_from_layer(self, h: int, scaled: Tensor, target: Parameters) -> None:
        """T_h ← T_h − s_h A_{h−1}ᵀ δ, and t_h Σ_i δ_i from its bias.

        Args:
            h: the layer's place, from 0.
            scaled: δ, shape (B, n, fan_out).
            target: the arrays to subtract from.
        """
        layer, weights, bias = self.layers[h], target.weights[h], target.biases[h]
        if weights is None:
            return
        self.multiply(self.inputs[h].transpose(1, 2), scaled, weights, -layer.weight_scale, 1.0)
        if bias is not None:
            bias.sub_(scaled.sum(1, keepdim=True), alpha=layer.bias_scale)

    @property
    def trained(self) -> Parameters:
        """The weights and biases that train, themselves."""
        return Parameters(
            [w if layer.trains else None for layer, w in zip(self.layers, self.weights, strict=True)],
            [b if layer.trains else None for layer, b in zip(self.layers, self.biases, strict=True)],
        )

    def zeros(self) -> Parameters:
        """Zeros as large as what trains."""
        own = self.trained
        return Parameters(
            [None if w is None else memory_layout.spread(w, *w.shape).zero_() for w in own.weights],
            [None if b is None else torch.zeros_like(b) for b in own.biases],
        )

    def at(self, x: Tensor) -> Ensemble:
        """The same parameters, shared, at other inputs, uncentred; renew it after `keep`.

        Args:
            x: inputs of shape (n', d), or (B, n', d) where every cell has its own.
        """
        other = copy.copy(self)
        other.x = _by_feature(x[None] if x.ndim == 2 else x)
        other.offset = None
        other.input_space_update, other.lowest_moving = None, 0
        other._allocate()  # noqa: SLF001  (its own class)
        return other

    def copied(self) -> Ensemble:
        """The same networks on the same points with parameters of their own."""
        other = self.at(self.x[0])
        other.weights = [memory_layout.copy(w) for w in self.weights]
        other.biases = [None if b is None else b.clone() for b in self.biases]
        return other

    def keep(self, chosen: Tensor) -> None:
        """Shrinks the batch to the chosen cells.

        Args:
            chosen: their places, shape (cells,), ascending.
        """
        self.start = self.start[chosen]
        self.weights = [memory_layout.copy(w[chosen]) for w in self.weights]
        self.biases = [None if b is None else b[chosen] for b in self.biases]
        self.learning_rates = self.learning_rates[chosen]
        if self.offset is not None:
            self.offset = self.offset[chosen]
        self._allocate()


def _by_feature(x: Tensor) -> Tensor:
    """Inputs (B, n, d), as they are multiplied."""
    return memory_layout.by_feature(x, *x.shape).copy_(x)


def present(tensor: Tensor | None) -> Tensor:
    """A tensor that a start must have.

    Raises:
        ValueError: it has none.
    """
    if tensor is None:
        raise ValueError("a layer with a bias scale was started without biases")
    return tensor
