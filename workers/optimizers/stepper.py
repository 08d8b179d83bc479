"""A batch's optimiser at work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState


class Stepper(ABC):
    """A batch's optimiser: moves its parameters from one sync step of the training loop to the next."""

    def __init__(self, ensemble: Ensemble, start: InitialState) -> None:
        """Binds the optimiser to a batch at step 0, before any forward pass."""
        self.ensemble = ensemble
        self.start = start

    @abstractmethod
    def advance(self, residual: Tensor, first: int, last: int) -> None:
        """Moves the parameters in place from step `first` to step `last`.

        Args:
            residual: r = αf − y at step `first`, shape (B, n·K), of the last forward pass.
            first: the step that the parameters are at.
            last: the step to reach.
        """

    @property
    def keeps_step_arrays(self) -> bool:
        """Whether a single step leaves outputs, activations and unit cotangents as they were before it.

        Then what does not read weights may be measured after the step, which carries the cotangents anyway.
        """
        return False

    @property
    def records_kernels(self) -> bool:
        """Whether it can `advance_recording`."""
        return False

    def advance_recording(self, steps: int, *, kernels: bool) -> tuple[Tensor, Tensor | None]:
        """Takes steps with a sync step before each of them; the bits are those of single sync steps.

        Args:
            steps: how many.
            kernels: whether kernels are wanted.

        Returns:
            r at each sync step, shape (steps, B, n), and G, shape (steps, B, n, n), or none.
        """
        raise NotImplementedError

    def keep(self, chosen: Tensor) -> None:  # noqa: B027  (most keep nothing)
        """Follows the batch as it shrinks to the chosen cells; called after `Ensemble.keep`."""

    @property
    def state(self) -> list[Tensor]:
        """What `advance` needs beside parameters and step, each (B, …): part of every checkpoint."""
        return []
