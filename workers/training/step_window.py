"""What training sees of a batch at one look, or at several a step apart that are taken in one go."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.sync_steps import CHECK_STEPS, Run
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.optimizers.optimizer import Stepper, Training

KERNELS_BYTES = 8 * 2**20  # of all looks in one go, unless one look has more


def at_once(training: Training, ensemble: Ensemble, stepper: Stepper) -> int:
    """How many looks a step apart are taken in one go; 0: none, since measurements read more than that keeps.

    Any number of them has the same bits.
    """
    if not (stepper.sees_kernels and all(MEASUREMENTS[m].reads_the_kernel_alone for m in training.measure)):
        return 0
    kernels = len(ensemble) * ensemble.width_of_outputs**2 * training.itemsize
    return max(1, min(CHECK_STEPS, KERNELS_BYTES // kernels))


class StepWindow:
    """Residuals of a batch at some looks and, where its steps are taken along, kernels.

    Attributes:
        residuals: r at each look, shape (looks, B, n·K).
    """

    def __init__(
        self, ensemble: Ensemble, stepper: Stepper, targets: Tensor, looks: Run, *, kernels: bool
    ) -> None:
        """Looks at a batch, once before it moves or, if the run says so, before each of its steps."""
        self._ensemble = ensemble
        self._stepper = stepper
        self._kernels: Tensor | None = None
        self._has_moved = looks.moves
        if looks.moves:
            self.residuals, self._kernels = stepper.advance_seeing(len(looks.pairs), kernels=kernels)
        else:
            self.residuals = (ensemble.forward() - targets)[None]

    def kernel(self, look: int) -> Tensor | None:
        """G at a look where the batch has moved since, shape (B, n, n); None: a record can form it."""
        return None if self._kernels is None else self._kernels[look]

    def advance(self, first: int, last: int) -> None:
        """Moves the batch from one look to the next, unless it has moved already."""
        if not self._has_moved:
            self._stepper.advance(self.residuals[0], first, last)
            self._has_moved = True

    def keep(self, chosen: np.ndarray) -> None:
        """Shrinks the batch, and what was seen of it, to the chosen cells; one at its look stays there."""
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
