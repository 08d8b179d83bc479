"""Residuals and kernels of a batch at one sync step, or at several that are taken in one go."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState
from widesweep.workers.engine.sync_steps import CHECK_STEPS, SyncGroup
from widesweep.workers.measurements import named
from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper

KERNELS_BYTES = 8 * 2**20  # of all sync steps in one go, unless a single one has more


def group_size(training: Training, ensemble: Ensemble, stepper: Stepper) -> int:
    """How many sync steps are taken in one go; 0: none, since measurements read more than that keeps.

    Any number of them has the same bits.
    """
    if not (stepper.records_kernels and all(named(m).reads_the_kernel_alone for m in training.measure)):
        return 0
    kernels = len(ensemble) * ensemble.width_of_outputs**2 * training.itemsize
    return max(1, min(CHECK_STEPS, KERNELS_BYTES // kernels))


class StepWindow:
    """Residuals of a batch at some sync steps and, where its steps are taken along, kernels.

    Attributes:
        residuals: r at each sync step, shape (sync steps, B, n·K).
    """

    def __init__(
        self, ensemble: Ensemble, stepper: Stepper, start: InitialState, group: SyncGroup, *, kernels: bool
    ) -> None:
        """Evaluates a batch once before it moves or, if the group says so, before each of its steps."""
        self._ensemble, self._start = ensemble, start
        self._stepper = stepper
        self._kernels: Tensor | None = None
        self._has_moved = group.moves
        if group.moves:
            self.residuals, self._kernels = stepper.advance_recording(len(group.pairs), kernels=kernels)
        else:
            self.residuals = start.residual_of(ensemble.forward())[None]

    def kernel(self, place: int) -> Tensor | None:
        """G at a sync step that the batch has moved on from, shape (B, n, n); None: a record can form it."""
        return None if self._kernels is None else self._kernels[place]

    def sizes(self, place: int) -> np.ndarray:
        """‖αf − y‖ and ‖r‖ of each cell at a sync step, shape (B, 2); one number under the squared loss."""
        found = [self.residuals[place]]
        if not self._start.loss.is_squared:
            found.insert(0, self._ensemble.outputs - self._start.targets)
        norms = [each.square().sum(1).sqrt().to("cpu", torch.float64).numpy() for each in found]
        return np.stack([norms[0], norms[-1]], 1)

    def advance(self, first: int, last: int) -> None:
        """Moves the batch from one sync step to the next, unless it has moved already."""
        if not self._has_moved:
            self._stepper.advance(self.residuals[0], first, last)
            self._has_moved = True

    def keep(self, chosen: np.ndarray) -> None:
        """Shrinks the batch, and its residuals and kernels, to the chosen cells."""
        if chosen.all():
            return
        places = torch.as_tensor(np.flatnonzero(chosen), device=self.residuals.device)
        self._ensemble.keep(places)
        self._stepper.keep(places)
        self.residuals = self.residuals[:, places]
        if self._kernels is not None:
            self._kernels = self._kernels[:, places]
        if not self._has_moved:
            self._ensemble.forward()
