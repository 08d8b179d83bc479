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
    """No gradient array: every layer takes its product of activations and cotangents directly.

    A single step between two looks shares its cotangents with a tangent kernel; of several each carries its
    own residual.
    """

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        from workers import stretch
        from workers.held_layer import held

        ensemble, targets = self.ensemble, self.start.targets
        if last - first == 1:
            ensemble.backward(residual)
            ensemble.descend()
            return
        with held(ensemble, last - first):
            if stretch.fits(ensemble):
                stretch.descend(ensemble, targets, last - first)
                return
            ensemble.descend_from(residual)
            for _ in range(first + 1, last):
                ensemble.descend_from(ensemble.forward() - targets)
