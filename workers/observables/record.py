"""One recorded step of a batch: what observables read, each thing computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from workers.ensemble import Ensemble
from workers.norms import operator_norm


@dataclass(frozen=True)
class Start:
    """What observables compare with: quantities at step 0, for each of S starts."""

    pattern: Tensor  # z_1(0) > 0, (S, n, m)
    kernel: Tensor  # G(0), (S, n, n)
    frobenius_norms: list[Tensor]  # ‖W^(h)(0)‖_F, (S,)
    operator_norms: list[Tensor]  # ‖W^(h)(0)‖₂, (S,)


class Record:
    """A batch at a recorded step, after forward and backward."""

    def __init__(self, ensemble: Ensemble, residual: Tensor, start: Start | None) -> None:
        """Looks at a batch; without a `start` it is the start itself."""
        self.ensemble = ensemble
        self.residual = residual
        self._start = start

    @property
    def start(self) -> Start:
        """The quantities at step 0, each with one row for every start."""
        if self._start is None:
            raise RuntimeError("the first record has nothing to compare with")
        return self._start

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

    def as_start(self) -> Start:
        """This record, of one cell for each start, as what later ones compare with."""
        weights = self.ensemble.initial_weights
        return Start(
            pattern=self.pattern,
            kernel=self.kernel,
            frobenius_norms=[frobenius(w) for w in weights],
            operator_norms=[operator_norm(w) for w in weights],
        )


def frobenius(matrices: Tensor) -> Tensor:
    """‖M‖_F of each matrix, shape (B,)."""
    norms: Tensor = torch.linalg.vector_norm(matrices, dim=(1, 2))
    return norms


def _difference(weights: Tensor, initial: Tensor, start: Tensor) -> Tensor:
    """W − W(0) of each cell, through one array."""
    change = initial.index_select(0, start)
    return torch.sub(weights, change, out=change)
