"""Full-batch gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workers.optimizers.base import Stepper, Training

if TYPE_CHECKING:
    from torch import Tensor

    from workers.ensemble import Ensemble
    from workers.start import Start


class GradientDescent(Training):
    """θ(k+1) = θ(k) − η ∇½Σ_i (αf(x_i) − y_i)²: the whole sum at every step, never averaged.

    >>> GradientDescent(steps=1000, records=5).recorded_steps()
    (0, 1, 10, 100, 1000)
    """

    optimizer: Literal["gd"] = "gd"

    @property
    def skips_between_looks(self) -> bool:
        """Plain descent does."""
        return True

    def stepper(self, ensemble: Ensemble, start: Start) -> Stepper:
        """Descent in place."""
        return _Descent(ensemble, start)


class _Descent(Stepper):
    """No gradient array: every layer takes its product of activations and cotangents directly."""

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        from workers.held_layer import held

        with held(self.ensemble, last - first):
            self.ensemble.descend()
            for _ in range(first + 1, last):
                self.ensemble.descend_from(self.ensemble.forward() - self.start.targets)
