"""One recorded step of a batch: what observables read, each thing computed once."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from workers.ensemble import Ensemble
from workers.start import Start


class Record:
    """A batch at a recorded step, after forward and backward."""

    def __init__(self, ensemble: Ensemble, residual: Tensor, start: Start) -> None:
        """Looks at a batch and at what it started from."""
        self.ensemble = ensemble
        self.residual = residual
        self.start = start

    @cached_property
    def kernel(self) -> Tensor:
        """G(k), shape (B, n, n)."""
        return self.ensemble.tangent_kernel()

    @cached_property
    def weight_changes(self) -> list[Tensor | None]:
        """W^(h)(k) − W^(h)(0) of each layer, shape (B, fan_in, fan_out); None: the layer does not train."""
        e = self.ensemble
        return [
            _difference(w, w0, e.start) if layer.trains else None
            for layer, w, w0 in zip(e.layers, e.weights, e.initial_weights, strict=True)
        ]

    @cached_property
    def pattern(self) -> Tensor:
        """Signs of the first layer's pre-activations, z_1 > 0, shape (B, n, m)."""
        return self.ensemble.pre_activations[0] > 0


def _difference(weights: Tensor, initial: Tensor, start: Tensor) -> Tensor:
    """W − W(0) of each cell, through one array."""
    change = initial.index_select(0, start)
    return torch.sub(weights, change, out=change)
