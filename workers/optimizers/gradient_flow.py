"""Gradient flow, integrated by an embedded Runge–Kutta pair with its own step size for every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.stepper import Stepper

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState

Tolerance = Annotated[float, Field(ge=1e-12, le=1e-2, allow_inf_nan=False)]

STAGES = (  # coefficients of k_1 … k_{s−1} in stage s = 2 … 7; the last row is the fifth-order solution
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)  # fifth − fourth order
SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0
ROUNDING = 64  # in units of machine epsilon and of the outputs: no error below it can be seen
SMALLEST = 1e-9  # step in units of 1/λ_max(0) below which a cell is given up


class GradientFlow(Training):
    """dθ/dt = −∇½Σ_i (αf(x_i) − y_i)², recorded at flow_time t = ηk: steps mean what they do elsewhere.

    `tolerance` bounds the error that one internal step adds to the outputs, estimated as
    √λ_max(G(0)) ‖Δθ₅ − Δθ₄‖, relative to the residual's norm. Every cell keeps its own step size.

    Source: Dormand & Prince 1980, embedded pair of order 5(4); Hairer, Nørsett & Wanner, Solving Ordinary
    Differential Equations I, section II.4, for the control.

    Attributes:
        tolerance: of one internal step, relative to the residual's norm.

    >>> GradientFlow(steps=10, tolerance=1e-6).mode_factors(np.array([2.0]), 0.5, [1]).round(4).tolist()
    [[0.3679]]
    """

    optimizer: Literal["gradient_flow"] = "gradient_flow"
    tolerance: Tolerance = 1e-8

    @model_validator(mode="after")
    def _has_no_rate(self) -> Self:
        """Its η is a unit of time."""
        if self.schedule != "constant":
            raise ValueError("a schedule of gradient_flow, whose η is a unit of time; leave it out")
        return self

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """The flow of a batch."""
        return _Flow(ensemble, start, self.tolerance)

    def mode_factors(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray:
        """e^{−ηλk}."""
        times = learning_rate * np.asarray(steps, dtype=np.float64).reshape(-1, 1)
        return np.asarray(np.exp(-times * np.asarray(eigenvalues)))

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """ηλ_min."""
        return float(learning_rate * eigenvalues[0])

    def gradients_per_step(self, samples: int) -> float:
        """Six gradients for each step of about 2/λ_max, taken at η = 1/λ_max."""
        return 3.0

    @property
    def parameter_arrays(self) -> int:
        """Seven stages and the point that they start from."""
        return 8


class _Flow(Stepper):
    def __init__(self, ensemble: Ensemble, start: InitialState, tolerance: float) -> None:
        super().__init__(ensemble, start)
        self.tolerance = tolerance
        self.scale = start.extreme_eigenvalues[1][ensemble.start][:, None, None]
        self.size = 0.5 / self.scale  # of the next internal step, shape (B, 1, 1)
        self._allocate()

    def _allocate(self) -> None:
        self.stages = [self.ensemble.zeros() for _ in range(len(STAGES) + 1)]
        self.origin = self.ensemble.zeros()

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        left = self.ensemble.learning_rates * (last - first)
        self.ensemble.backward(residual)
        self._slope(0)
        self._remember(left > 0.0)
        while bool((left > 0.0).any()):
            taken = self.size.minimum(left)
            residual = self._stages(taken)
            error = self._error(taken, residual)
            accepted = (error <= 1.0) | (left <= 0.0)
            hopeless = self.size * self.scale < SMALLEST  # the flow has left what numbers can hold
            self._remember(accepted)
            self._move_on(accepted)
            whole = taken >= left  # a step cut short by the record leaves nothing, whatever rounding says
            left = left.where(~accepted, (left - taken).where(~whole, 0.0)).where(~hopeless, 0.0)
            factor = (SAFETY * error**-0.2).nan_to_num(SHRINK).clamp(SHRINK, GROW)
            cut = accepted & (taken < self.size)  # says nothing against the proposed size
            self.size = (taken * factor).where(~cut, self.size.maximum(taken * factor))
            for theta in (*self.ensemble.trained.tensors, *self.origin.tensors):
                theta.masked_fill_(hopeless, float("nan"))

    def _stages(self, taken: Tensor) -> Tensor:
        """All stages from the origin; leaves the fifth-order solution in the batch, returns its residual."""
        theta, residual = self.ensemble.trained.tensors, taken
        for s, coefficients in enumerate(STAGES, 1):
            for i, w in enumerate(theta):
                w.zero_()
                for j, coefficient in enumerate(coefficients):
                    if coefficient:
                        w.add_(self.stages[j].tensors[i], alpha=coefficient)
                w.mul_(taken).add_(self.origin.tensors[i])
            residual = self.start.residual_of(self.ensemble.forward())
            self.ensemble.backward(residual)
            self._slope(s)
        return residual

    def _slope(self, s: int) -> None:
        """Stage s ← −∇L at the batch's parameters."""
        for k in self.stages[s].tensors:
            k.zero_()
        self.ensemble.subtract_gradient(1.0, self.stages[s])

    def _error(self, taken: Tensor, residual: Tensor) -> Tensor:
        """√λ_max ‖h Σ_s e_s k_s‖ / (tolerance ‖r‖) of every cell, shape (B, 1, 1)."""
        squared = taken.new_zeros(taken.shape)
        for parts in zip(*(stage.tensors for stage in self.stages), strict=True):
            error = parts[0] * ERROR[0]
            for part, coefficient in zip(parts[1:], ERROR[1:], strict=True):
                error.add_(part, alpha=coefficient)
            squared += error.square_().sum((1, 2), keepdim=True)
        norm = residual.square().sum(1)[:, None, None].sqrt()
        rounding = ROUNDING * float(np.finfo(str(norm.dtype).removeprefix("torch.")).eps)
        allowed = (self.tolerance * norm).maximum(
            rounding * (norm + self.start.targets.square().sum().sqrt())
        )
        return taken * (self.scale * squared).sqrt() / allowed

    def _remember(self, accepted: Tensor) -> None:
        """Makes the batch's parameters the origin where they are accepted, and goes back where not."""
        for w, origin in zip(self.ensemble.trained.tensors, self.origin.tensors, strict=True):
            origin.copy_(w.where(accepted, origin))
            w.copy_(origin)

    def _move_on(self, accepted: Tensor) -> None:
        """First same as last: an accepted step's last slope is the next one's first."""
        for first, last in zip(self.stages[0].tensors, self.stages[-1].tensors, strict=True):
            first.copy_(last.where(accepted, first))

    def keep(self, chosen: Tensor) -> None:
        self.scale, self.size = self.scale[chosen], self.size[chosen]
        self._allocate()

    @property
    def state(self) -> list[Tensor]:
        return [self.size]
