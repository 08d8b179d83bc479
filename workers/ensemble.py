"""Many networks of one shape as one batch: forward, unit cotangents, update in place.

For every cell b and sample i the backward pass carries the cotangent of the output itself,
D_h(i) = ∂(αf_i)/∂z_h(i), in place of the loss's. The gradient is then A_{h−1}ᵀ(r ∘ D_h) and the tangent
kernel G = Σ_h s_h²(A_{h−1}A_{h−1}ᵀ) ∘ (D_h D_hᵀ), from the same arrays. A product with a single column is
made of elementwise products and a sum: batched matrix libraries are slow there.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workers import aligned
from workers.activations import tensor_activation
from workers.networks.base import Network
from workers.networks.layers import Layer
from workers.parameters import Parameters


class Ensemble:
    """B networks of one shape with their own weights and learning rates.

    Attributes:
        layers: sizes and scales, first to output.
        initial_weights: W(0) of each layer for S starts, shape (S, fan_in, fan_out).
        start: which of the S starts a cell began from, shape (B,).
        weights: W of each layer, shape (B, fan_in, fan_out).
        inputs: A_{h−1} of each layer: the data (1, n, d), then activations (B, n, m).
        pre_activations: z_h of the hidden layers, shape (B, n, m); the activations where they suffice.
        cotangents: D_h of each layer, shape (B, n, fan_out).
        outputs: αf (minus its start, if centred), shape (B, n).
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[Layer],
        starts: Sequence[tuple[list[Tensor], list[Tensor | None]]],
        start: Sequence[int] | np.ndarray,
        learning_rates: np.ndarray,
        x: Tensor,
    ) -> None:
        """Copies the starts into a batch.

        Args:
            network: what the layers belong to.
            layers: sizes and scales.
            starts: what `initial_parameters` gave, for each of S seeds.
            start: for each of B cells the start that it begins from.
            learning_rates: η of each cell, shape (B,).
            x: inputs, shape (n, d).
        """
        self.layers = tuple(layers)
        self.activation = tensor_activation(network.activation)
        self.output_scale = network.alpha
        self.initial_weights = [torch.stack([s[0][h] for s in starts]) for h in range(len(layers))]
        self.initial_biases = [
            torch.stack([_present(s[1][h]) for s in starts]) if layer.bias_scale else None
            for h, layer in enumerate(layers)
        ]
        self.start = torch.as_tensor(np.asarray(start), device=x.device)
        self.weights = [aligned.copy(w[self.start]) for w in self.initial_weights]
        self.biases = [None if b is None else b[self.start] for b in self.initial_biases]
        self.learning_rates = torch.as_tensor(learning_rates, dtype=x.dtype, device=x.device)[:, None, None]
        self.x = x[None]
        self._allocate()
        self.offset: Tensor | None = None
        self.forward()
        if network.centered:
            self.offset = self.outputs.clone()

    def __len__(self) -> int:
        """Cells in the batch."""
        return len(self.start)

    def _allocate(self) -> None:
        def make(columns: int) -> Tensor:
            return aligned.empty(self.x, len(self), self.x.shape[1], columns)

        hidden = [layer.fan_out for layer in self.layers[:-1]]
        self.pre_activations = [make(m) for m in hidden]
        own = self.activation.keeps_input or any(layer.branches for layer in self.layers)
        activations = [make(m) for m in hidden] if own else self.pre_activations
        self.inputs = [self.x.expand(len(self), -1, -1), *activations]
        self.cotangents = [make(layer.fan_out) for layer in self.layers]
        self.cotangents[-1].fill_(self.output_scale)
        self._past_skip = [make(layer.fan_out) if layer.skip else None for layer in self.layers]
        self._scaled = [make(layer.fan_out) if layer.trains else None for layer in self.layers]
        self._output = make(1)
        self._scratch = make(hidden[-1])

    def forward(self) -> Tensor:
        """Outputs αf of every cell on every sample (minus those at the start, if centred), shape (B, n)."""
        for h, layer in enumerate(self.layers):
            last = h == len(self.layers) - 1
            z = self._output if last else self.pre_activations[h]
            bias = self.biases[h]
            if layer.fan_out == 1:
                torch.mul(self.inputs[h], self.weights[h].transpose(1, 2), out=self._scratch)
                torch.sum(self._scratch, 2, keepdim=True, out=z)
                z.mul_(layer.weight_scale)
                if bias is not None:
                    z.add_(bias, alpha=layer.bias_scale)
            else:
                torch.baddbmm(
                    z if bias is None else bias.expand_as(z),
                    self.inputs[h],
                    self.weights[h],
                    beta=0.0 if bias is None else layer.bias_scale,
                    alpha=layer.weight_scale,
                    out=z,
                )
            if not last:
                self._activate(h)
        self.outputs = self._output[..., 0] * self.output_scale
        if self.offset is not None:
            self.outputs -= self.offset
        return self.outputs

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

    def backward(self) -> None:
        """Cotangents D_h of every layer that something needs, from those of the layer above."""
        lowest = next(h for h, layer in enumerate(self.layers) if layer.trains)
        for h in range(len(self.layers) - 1, lowest, -1):
            above, below = self.cotangents[h], self.cotangents[h - 1]
            weights, scale = self.weights[h].transpose(1, 2), self.layers[h].weight_scale
            if self.layers[h].fan_out == 1:
                torch.mul(above * scale, weights, out=below)
            else:
                torch.baddbmm(below, above, weights, beta=0.0, alpha=scale, out=below)
            self._pull_back(h)

    def _pull_back(self, h: int) -> None:
        """∂/∂A_{h−1} of layer h's branch, its skip added, to D_{h−1}; kept aside where a skip needs it."""
        below, lower = self.cotangents[h - 1], self.layers[h - 1]
        around, aside = self._past_skip[h], self._past_skip[h - 1]
        if around is not None:
            below.add_(around)
        if aside is not None:
            aside.copy_(below)
        z = self.pre_activations[h - 1]
        kept = z if lower.branches and not self.activation.keeps_input else self.inputs[h]
        self.activation.pull_back(below, z, kept)
        if lower.branch_scale != 1.0:
            below.mul_(lower.branch_scale)

    def descend(self, residual: Tensor) -> None:
        """One step of gradient descent in place: W_h ← W_h − η s_h A_{h−1}ᵀ(r ∘ D_h), and so for biases.

        Args:
            residual: r = αf − y, shape (B, n).
        """
        self.subtract_gradient(residual[..., None] * self.learning_rates, self.trained)

    def subtract_gradient(self, step: Tensor, target: Parameters) -> None:
        """T_h ← T_h − s_h A_{h−1}ᵀ(step ∘ D_h) of every layer that trains, and so for biases, in place.

        Args:
            step: what weighs the samples' cotangents, such as ηr, shape (B, n, 1).
            target: the arrays to subtract from: `trained`, or some of `zeros`.
        """
        for h, layer in enumerate(self.layers):
            scaled, weights, bias = self._scaled[h], target.weights[h], target.biases[h]
            if scaled is None or weights is None:
                continue
            torch.mul(self.cotangents[h], step, out=scaled)
            if layer.fan_out == 1:
                torch.mul(self.inputs[h], scaled, out=self._scratch)
                weights.sub_(self._scratch.sum(1)[..., None], alpha=layer.weight_scale)
            else:
                weights.baddbmm_(self.inputs[h].transpose(1, 2), scaled, alpha=-layer.weight_scale)
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
            [None if w is None else aligned.empty(w, *w.shape).zero_() for w in own.weights],
            [None if b is None else torch.zeros_like(b) for b in own.biases],
        )

    def at(self, x: Tensor) -> Ensemble:
        """The same parameters, shared, at other inputs, uncentred; renew it after `keep`.

        Args:
            x: inputs of shape (n', d), or (B, n', d) where every cell has its own.
        """
        other = copy.copy(self)
        other.x = x[None] if x.ndim == 2 else aligned.copy(x)
        other.offset = None
        other._allocate()
        return other

    def layer_tangent_kernel(self, h: int, other: Ensemble | None = None) -> Tensor:
        """G^(h)_ij = (s_h² A_i·A_j + t_h²) D_i·D_j, layer h's part of the tangent kernel of αf, (B, n, n).

        With another view of the same networks, j runs over its points.
        """
        second = other or self
        layer, a, d = self.layers[h], self.inputs[h], self.cotangents[h]
        b, e = second.inputs[h].transpose(1, 2), second.cotangents[h].transpose(1, 2)
        gram = torch.bmm(a, b, out=aligned.empty(a, len(a), a.shape[1], b.shape[2])).mul_(
            layer.weight_scale**2
        )
        if layer.bias_scale:
            gram += layer.bias_scale**2
        return gram.mul_(d * e if layer.fan_out == 1 else torch.bmm(d, e))

    def tangent_kernel(self, other: Ensemble | None = None) -> Tensor:
        """G_ij = Σ_θ ∂(αf_i)/∂θ ∂(αf_j)/∂θ over the parameters that train, shape (B, n, n).

        With another view of the same networks, j runs over its points.
        """
        parts = [self.layer_tangent_kernel(h, other) for h, layer in enumerate(self.layers) if layer.trains]
        kernel = parts[0]
        for part in parts[1:]:
            kernel += part
        return kernel

    def layer_tangent_kernels(self) -> list[Tensor | None]:
        """G^(h) of each layer, shape (B, n, n); None where a layer does not train."""
        return [self.layer_tangent_kernel(h) if layer.trains else None for h, layer in enumerate(self.layers)]

    def copied(self) -> Ensemble:
        """The same networks on the same points with parameters of their own."""
        other = self.at(self.x[0])
        other.weights = [aligned.copy(w) for w in self.weights]
        other.biases = [None if b is None else b.clone() for b in self.biases]
        return other

    def keep(self, chosen: Tensor) -> None:
        """Shrinks the batch to the chosen cells.

        Args:
            chosen: their places, shape (cells,), ascending.
        """
        self.start = self.start[chosen]
        self.weights = [aligned.copy(w[chosen]) for w in self.weights]
        self.biases = [None if b is None else b[chosen] for b in self.biases]
        self.learning_rates = self.learning_rates[chosen]
        if self.offset is not None:
            self.offset = self.offset[chosen]
        self._allocate()


def _present(bias: Tensor | None) -> Tensor:
    if bias is None:
        raise ValueError("a layer with a bias scale was started without biases")
    return bias
