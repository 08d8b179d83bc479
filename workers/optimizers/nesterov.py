"""Nesterov's accelerated gradient with constant momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from widesweep.workers.engine.cuda_graphs import Replay
from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState

ROUNDING = 1e-14  # of a discriminant below which two roots are one
Momentum = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class Nesterov(Training):
    """θ(k+1) = v(k) − η∇L(v(k)), v(k) = θ(k) + β(θ(k) − θ(k−1)), v(0) = θ(0); records are at θ(k).

    `momentum: optimal` is β = (1 − √(ηλ))/(1 + √(ηλ)) with λ the least eigenvalue of the cell's own tangent
    kernel at initialisation: (√κ − 1)/(√κ + 1) at η = 1/λ_max. A given number is used as it is.

    Source: Nesterov, Introductory Lectures on Convex Optimization, 2004, section 2.2.1, constant step scheme.

    Attributes:
        momentum: β, the same at every step.

    >>> Nesterov(steps=10, momentum=0.5).optimizer
    'nesterov'
    """

    optimizer: Literal["nesterov"] = "nesterov"
    momentum: Literal["optimal"] | Momentum = "optimal"

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """Momentum on a batch, one β for each cell."""
        return _Accelerated(ensemble, start, self._momenta(ensemble, start))

    def _momenta(self, ensemble: Ensemble, start: InitialState) -> Tensor:
        rates = ensemble.learning_rates
        if self.momentum != "optimal":
            return rates.new_full(rates.shape, self.momentum)
        least = start.extreme_eigenvalues[0][ensemble.start][:, None, None]
        root = (rates * least).clamp(0.0, 1.0).sqrt()
        return (1.0 - root) / (1.0 + root)

    def beta(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """β for a kernel with these eigenvalues, ascending."""
        if self.momentum != "optimal":
            return self.momentum
        root = np.sqrt(np.clip(learning_rate * eigenvalues[0], 0.0, 1.0))
        return float((1.0 - root) / (1.0 + root))

    def mode_factors(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray:
        """p_{k+1} = (1 − ηλ)((1 + β)p_k − βp_{k−1}), p_0 = p_{−1} = 1, by powers of its 2 × 2 matrix."""
        beta, shrink = self.beta(eigenvalues, learning_rate), 1.0 - learning_rate * np.asarray(eigenvalues)
        companion = np.zeros((shrink.size, 2, 2))
        companion[:, 0, 0], companion[:, 0, 1] = shrink * (1.0 + beta), -shrink * beta
        companion[:, 1, 0] = 1.0
        powers = [np.linalg.matrix_power(companion, int(k)) for k in np.ravel(steps)]
        return np.stack([power[:, 0, :].sum(1) for power in powers])

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """−log of the largest root of z² − (1 − ηλ)(1 + β)z + (1 − ηλ)β over the eigenvalues."""
        beta, shrink = self.beta(eigenvalues, learning_rate), 1.0 - learning_rate * np.asarray(eigenvalues)
        half = shrink * (1.0 + beta) / 2.0
        discriminant = half**2 - shrink * beta
        double = np.abs(discriminant) <= ROUNDING * half**2  # as at λ_min under the optimal β
        root = np.sqrt(np.where(double, 0.0, discriminant).astype(np.complex128))
        return float(-np.log(np.maximum(np.abs(half + root), np.abs(half - root)).max()))

    @property
    def replays(self) -> bool:
        """Its momentum is constant."""
        return True

    @property
    def parameter_arrays(self) -> int:
        """The last movement."""
        return 1


class _Accelerated(Stepper):
    """Holds the last movement V(k) = θ(k) − θ(k−1); then V(k+1) = βV(k) − η∇L(θ(k) + βV(k))."""

    def __init__(self, ensemble: Ensemble, start: InitialState, momenta: Tensor) -> None:
        super().__init__(ensemble, start)
        self.momenta = momenta
        self.movement = ensemble.zeros()
        self.replay = Replay(self._step, start.capture_device)

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        self.replay.repeat(last - first)

    def _step(self) -> None:
        ensemble, movement = self.ensemble, self.movement
        for theta, v in zip(ensemble.trained.tensors, movement.tensors, strict=True):
            theta.add_(v.mul_(self.momenta))
        ensemble.backward(self.start.residual_of(ensemble.forward()))
        for theta, v in zip(ensemble.trained.tensors, movement.tensors, strict=True):
            theta.sub_(v)
        ensemble.subtract_gradient(ensemble.learning_rates, movement)
        for theta, v in zip(ensemble.trained.tensors, movement.tensors, strict=True):
            theta.add_(v)

    def keep(self, chosen: Tensor) -> None:
        self.momenta = self.momenta[chosen]
        self.movement = self.movement.chosen(chosen)
        self.replay = Replay(self._step, self.start.capture_device)

    @property
    def state(self) -> list[Tensor]:
        return self.movement.tensors
