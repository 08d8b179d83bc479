"""Langevin dynamics: gradient descent in a bath of given temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from widesweep.theory.linearised import dynamics
from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper
from widesweep.workers.seeds import generator

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState

Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Langevin(Training):
    """θ(k+1) = θ(k) − η∇L(θ(k)) + √(2ηT) ξ(k), ξ ~ N(0, I) over the parameters that train.

    The stationary density is proportional to exp(−L/T) as η → 0; T is in units of the loss ½Σ(αf − y)².
    Noise is keyed by (config seed, width, depth, cell seed, step): learning rates of one seed share ξ.

    Source: Welling & Teh 2011, stochastic gradient Langevin dynamics, here with the full gradient.

    Attributes:
        temperature: T; 0 is gradient descent.

    >>> Langevin(steps=10, temperature=1e-3).optimizer
    'langevin'
    """

    optimizer: Literal["langevin"] = "langevin"
    temperature: Temperature

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """Noisy descent on a batch."""
        return _Noisy(ensemble, start, self.temperature)

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """NaN with noise: the residual ends at its thermal floor; gradient descent's at T = 0."""
        return float("nan") if self.temperature else super().rate_per_step(eigenvalues, learning_rate)

    def floor(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray | float:
        """Σ_i 2T(1 − a_i^{2k})/(2 − ηλ_i), a_i = 1 − ηλ_i; inf where ηλ_max ≥ 2."""
        product = learning_rate * np.asarray(eigenvalues)
        if self.temperature == 0.0 or product[-1] >= 2.0:
            return np.inf if self.temperature else 0.0
        decay = np.square(dynamics.mode_factors(eigenvalues, learning_rate, steps))
        return np.asarray((2.0 * self.temperature * (1.0 - decay) / (2.0 - product)).sum(axis=1))

    def gradients_per_step(self, samples: int) -> float:
        """A gradient, and a normal draw for every parameter: about 300 operations each, 6n in a gradient."""
        return 1.0 + 50.0 / samples

    @property
    def parameter_arrays(self) -> int:
        """The noise of every start."""
        return 1


class _Noisy(Stepper):
    def __init__(self, ensemble: Ensemble, start: InitialState, temperature: float) -> None:
        super().__init__(ensemble, start)
        self.temperature = temperature

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        for step in range(first, last):
            if step > first:
                residual = self.start.residual_of(self.ensemble.forward())
            self.ensemble.step(residual)
            self._heat(step)

    def _heat(self, step: int) -> None:
        """Adds √(2ηT) ξ; ξ is drawn once for all cells of a start, in float64 on the CPU."""
        ensemble = self.ensemble
        size = (2.0 * self.temperature * ensemble.learning_rates).sqrt()
        starts, which = np.unique(ensemble.start.cpu().numpy(), return_inverse=True)
        streams = [generator("noise", *self.start.coordinates[s], step) for s in starts]
        for theta in ensemble.trained.tensors:
            noise = np.stack([random.standard_normal(theta.shape[1:]) for random in streams])
            theta.addcmul_(theta.new_tensor(noise)[which], size)
