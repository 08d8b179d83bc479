"""Mini-batch stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper
from widesweep.workers.seeds import generator

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState

BatchSize = Annotated[int, Field(ge=1, strict=True)]


class StochasticGradientDescent(Training):
    """θ(k+1) = θ(k) − η (n/|B_k|) ∇½Σ_{i∈B_k} (αf(x_i) − y_i)²: the full gradient in expectation over B_k.

    Batches run without replacement through a fresh permutation in every epoch of ⌈n/batch_size⌉ steps (the
    last of an epoch holds what is left). Permutations are keyed by (config seed, width, depth, cell seed,
    epoch), so the learning rates of one seed see the same batches.

    Source: sampling without replacement as in Bottou, Curtis & Nocedal 2018, arXiv:1606.04838, section 4.

    Attributes:
        batch_size: points of a batch, at most `data.samples`.

    >>> StochasticGradientDescent(steps=10, batch_size=8).gradients_per_step(samples=32)
    0.25
    """

    optimizer: Literal["sgd"] = "sgd"
    batch_size: BatchSize

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """Mini-batches for a batch of cells."""
        return _MiniBatches(ensemble, start, min(self.batch_size, ensemble.x.shape[1]))

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """NaN: the mean residual decays like gradient descent's, its norm does not."""
        return float("nan")

    def mean_residual_norm(
        self, eigenvalues: np.ndarray, power: np.ndarray, learning_rate: float, steps: Any, outputs: int = 1
    ) -> np.ndarray:
        """NaN but where one batch holds all points: that of gradient descent lacks the batches' noise."""
        found = super().mean_residual_norm(eigenvalues, power, learning_rate, steps, outputs)
        return found if self.batch_size >= len(eigenvalues) else np.full_like(found, np.nan)

    def gradients_per_step(self, samples: int) -> float:
        """The share of the points in one batch."""
        return min(1.0, self.batch_size / samples)


class _MiniBatches(Stepper):
    """Forward and backward on the chosen points alone, through the batch's own weights."""

    def __init__(self, ensemble: Ensemble, start: InitialState, size: int) -> None:
        super().__init__(ensemble, start)
        self.size, self.samples = size, ensemble.x.shape[1]
        self.steps_per_epoch = -(-self.samples // size)
        self.epoch = -1
        self.view = ensemble.at(ensemble.x.expand(len(ensemble), -1, -1)[:, :size])

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        for step in range(first, last):
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != self.epoch:
                self._shuffle(epoch)
            self._descend(place)

    def _descend(self, place: int) -> None:
        """One step on the epoch's batch number `place`; a short last batch is padded with weight 0."""
        view = self.view
        rows = self.order[:, place * self.size : (place + 1) * self.size]
        view.x.copy_(self.ensemble.x[0][rows])
        outputs = view.forward()
        if self.ensemble.offset is not None:
            outputs = outputs - self._of_samples(self.ensemble.offset, rows)
        targets = self._of_samples(self.start.targets.expand(len(view), -1), rows)
        residual = self.start.residual_of(outputs, targets)
        present = min(self.size, self.samples - place * self.size)
        residual[:, present * view.output_count :] = 0.0
        view.step(residual.mul_(self.samples / present))

    def _of_samples(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Of values (B, n·K) those of the samples `rows` (B, size), shape (B, size·K)."""
        of_sample = outputs.reshape(len(rows), self.samples, self.view.output_count)
        return of_sample.gather(1, rows[..., None].expand(-1, -1, of_sample.shape[2])).flatten(1)

    def _shuffle(self, epoch: int) -> None:
        """The points' order in this epoch for every cell, shape (B, steps_per_epoch · size)."""
        used = np.unique(self.ensemble.start.cpu().numpy())
        padded = self.steps_per_epoch * self.size
        orders = np.zeros((len(self.start.coordinates), padded), dtype=np.int64)
        for s in used:
            permutation = generator("batches", *self.start.coordinates[s], epoch).permutation(self.samples)
            orders[s, : self.samples] = permutation
        self.epoch, table = epoch, self.ensemble.start.new_tensor(orders)
        self.order = table[self.ensemble.start]

    def keep(self, chosen: Tensor) -> None:
        self.view = self.ensemble.at(self.view.x[chosen])
        if self.epoch >= 0:
            self.order = self.order[chosen]
