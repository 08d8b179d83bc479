"""Full-batch gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from widesweep.workers.engine.cuda_graphs import Replay
from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState


class GradientDescent(Training):
    """θ(k+1) = θ(k) − η ∇½Σ_i (αf(x_i) − y_i)²: the whole sum at every step, never averaged.

    >>> GradientDescent(steps=1000, records=5).recorded_steps()
    (0, 1, 10, 100, 1000)
    """

    optimizer: Literal["gd"] = "gd"

    @property
    def skips_between_sync_steps(self) -> bool:
        """Plain descent does, at a constant rate."""
        return self.schedule == "constant"

    @property
    def replays(self) -> bool:
        """Plain descent does."""
        return True

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """Descent in place."""
        return _Descent(ensemble, start)


class _Descent(Stepper):
    """No gradient array: every layer takes its product of activations and cotangents directly.

    A single step between two sync steps shares its cotangents with a tangent kernel; each of several steps
    carries its own residual.
    """

    def __init__(self, ensemble: Ensemble, start: InitialState) -> None:
        super().__init__(ensemble, start)
        self.replay = Replay(self._step, start.capture_device)

    def _step(self) -> None:
        self.ensemble.descend_from(self.start.residual_of(self.ensemble.forward()))

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        from widesweep.workers.engine.compiled import segment
        from widesweep.workers.engine.input_space_update import in_input_space

        ensemble = self.ensemble
        if last - first == 1:
            ensemble.step(residual)
            return
        with in_input_space(ensemble, last - first):
            if self.has_loops:
                segment.descend(ensemble, self.start.targets, last - first)
                return
            ensemble.descend_from(residual)
            self.replay.repeat(
                last - first - 1
            )  # a captured step is in an input-space update throughout, or not at all

    @property
    def has_loops(self) -> bool:
        """Whether several steps are one compiled call, which knows the squared loss alone."""
        return self.ensemble.is_compiled and self.start.loss.is_squared

    @property
    def keeps_step_arrays(self) -> bool:
        return self.ensemble.output_count == 1 and self.ensemble.keeps_step_arrays

    @property
    def records_kernels(self) -> bool:
        return self.has_loops and self.ensemble.output_count == 1

    def advance_recording(self, steps: int, *, kernels: bool) -> tuple[Tensor, Tensor | None]:
        return self.ensemble.steps(self.start.targets, steps, kernels=kernels)

    def keep(self, chosen: Tensor) -> None:
        self.replay = Replay(self._step, self.start.capture_device)
