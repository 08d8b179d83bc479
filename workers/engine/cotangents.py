"""The backward pass by hand: cotangents of every layer's pre-activations, from those of the outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.batch import Batch, lowest_trained
from widesweep.workers.engine.compiled import sync_step


class Cotangents:
    """D_h = Σ_a c_ia ∂(αf_ia)/∂z_h(i), carried from the outputs down for one or more c at each sample.

    With c the K unit vectors (n·K rows, sample-major) they are what the tangent kernel is made of; with c the
    residual (n rows) what the gradient is made of. For a single output both are the same up to a factor.

    Attributes:
        layers: D_h of each layer, shape (B, n·per_sample, fan_out); what nothing needs is left as it is.
        per_sample: rows for each sample.
    """

    def __init__(self, ensemble: Batch, per_sample: int) -> None:
        """Room for the rows of an ensemble at its present batch and points."""
        self.per_sample = per_sample
        rows = per_sample * ensemble.x.shape[1]

        def make(columns: int) -> Tensor:
            return memory_layout.by_feature(ensemble.x, len(ensemble), rows, columns)

        self.layers = [make(layer.fan_out) for layer in ensemble.layers]
        self._past_skip = [make(layer.fan_out) if layer.skip else None for layer in ensemble.layers]

    @classmethod
    def of_each_output(cls, ensemble: Batch) -> Cotangents:
        """Rows for the K unit vectors at each sample, ready to be carried."""
        made = cls(ensemble, ensemble.output_count)
        top = made.layers[-1]
        unit = ensemble.output_scale * torch.eye(made.per_sample, dtype=top.dtype, device=top.device)
        made._at_sample(top).copy_(unit)
        return made

    def carry(self, ensemble: Batch, weights: Tensor | None = None) -> None:
        """Fills the layers below the output down to the lowest that trains.

        Args:
            ensemble: after its forward pass.
            weights: c of one row at each sample, shape (B, n, K); default: the outputs' rows are there.
        """
        if weights is not None:
            torch.mul(weights, ensemble.output_scale, out=self.layers[-1])
        if self.per_sample == 1 and sync_step.computes(ensemble):
            sync_step.carry(ensemble, self)
            return
        lowest = lowest_trained(ensemble.layers)
        for h in range(len(ensemble.layers) - 1, lowest, -1):
            above, below = self.layers[h], self.layers[h - 1]
            matrix, scale = ensemble.weights[h].transpose(1, 2), ensemble.layers[h].weight_scale
            if ensemble.layers[h].fan_out == 1:
                torch.mul(above * scale, matrix, out=below)
            else:
                ensemble.multiply(above, matrix, below, scale)
            self._pull_back(ensemble, h)

    def _pull_back(self, ensemble: Batch, h: int) -> None:
        """∂/∂A_{h−1} of layer h's branch, its skip added, to D_{h−1}; kept aside where a skip needs it."""
        below, lower = self.layers[h - 1], ensemble.layers[h - 1]
        around, aside = self._past_skip[h], self._past_skip[h - 1]
        if around is not None:
            below.add_(around)
        if aside is not None:
            aside.copy_(below)
        z = ensemble.pre_activations[h - 1]
        kept = z if lower.branches and not ensemble.activation.keeps_input else ensemble.inputs[h]
        if self.per_sample == 1:
            ensemble.activation.pull_back(below, z, kept)
        else:  # all rows of a sample share its activations
            ensemble.activation.pull_back(self._at_sample(below), z[:, :, None], kept[:, :, None])
        if lower.branch_scale != 1.0:
            below.mul_(lower.branch_scale)

    def _at_sample(self, rows: Tensor) -> Tensor:
        """(B, n·per_sample, m) as (B, n, per_sample, m)."""
        return rows.view(len(rows), rows.shape[1] // self.per_sample, self.per_sample, rows.shape[2])
