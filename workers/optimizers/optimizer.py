"""What every optimiser's config has, what theory says of its linear regime, and how it moves a batch."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.functional_validators import BeforeValidator

from widesweep.theory.linearised import dynamics
from widesweep.workers import measurements
from widesweep.workers.choices import listed
from widesweep.workers.losses import Loss, LossConfig, loss
from widesweep.workers.networks.network import OWN
from widesweep.workers.optimizers.schedule import Schedule, ScheduleConfig, Scheduled
from widesweep.workers.optimizers.stepper import Stepper
from widesweep.workers.variable import Variable

if TYPE_CHECKING:
    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState

Steps = Annotated[int, Field(ge=1, le=100_000_000, strict=True)]
Records = Annotated[int, Field(ge=2, le=100_000, strict=True)]


class Until(BaseModel):
    """When a cell is done before its last step.

    Attributes:
        loss: from the first recorded step on at which the loss is at most this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Training(BaseModel, ABC):
    """Settings that all optimisers share.

    Attributes:
        loss: L = Σ_i l(αf(x_i), y_i), summed over points and never averaged: `squared`, ½(αf − y)²;
            `logistic`, log(1 + e^{−yαf}) of labels ±1; `cross_entropy` of classes; `huber`, squared up to a
            distance 1 (`{huber: δ}`: δ) and linear beyond; or `package.module:name`, a function l(f, y) of
            tensors (…, n, K).
        learning_rate_unit: `relative` is in units of 1/λ_max of the infinite-width tangent kernel of that
            depth, `stability` in units of 2/λ_max, at which gradient descent on the linearised model stops
            converging, `absolute` is η itself.
        steps: gradient steps.
        schedule: `constant`, or what η is multiplied by at each step: `{warmup: steps}`, a linear rise;
            `{cosine: share}`, half a cosine from there to that share at the end; `{pieces: [[step, factor],
            …]}`; or several of them, multiplied.
        until: `{loss: …}` ends a cell at the first record at which its loss is at most that; later records
            repeat that one, and `stopped_at` has its step.
        records: the most recorded steps, spaced evenly in the logarithm, first 0 and last `steps`.
        dtype: precision of the training.
        measure: what a record holds, by names of files of `workers/measurements`.
        information_cutoff: where `subspaces` splits the spectrum, as a share of the Jacobian's largest
            singular value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    linear: ClassVar[bool] = True  # whether its updates are linear in the residual, noise aside

    optimizer: str
    loss: LossConfig = "squared"
    learning_rate_unit: Literal["relative", "stability", "absolute"] = "relative"
    steps: Steps
    schedule: ScheduleConfig = "constant"
    until: Until | None = None
    records: Records = 64
    dtype: Literal["float64", "float32"] = "float64"
    measure: Annotated[tuple[str, ...], BeforeValidator(listed)] = measurements.DEFAULT
    information_cutoff: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.1

    @field_validator("measure")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        here = info.mode == "python" or bool((info.context or {}).get(OWN))
        return measurements.chosen(names, known=here)

    @model_validator(mode="after")
    def _measured_where_it_means_something(self) -> Self:
        """No measurement of the linearised model where it has no closed form."""
        wrong = self.meaningless([name for name in self.measure if name in measurements.MEASUREMENTS])
        if wrong:
            names = ", ".join(wrong)
            raise ValueError(f"{names} of a training in which {self.unpredicted}; leave it out")
        return self

    def meaningless(self, names: Sequence[str]) -> list[str]:
        """Measurements that mean nothing here: of a linearised model that has no closed form.

        Args:
            names: those that can be imported here.
        """
        chosen = [measurements.named(name) for name in names] if self.unpredicted else []
        return [
            each.name
            for each in chosen
            if "linearized" in each.needs or not (each.any_loss or self.loss == "squared")
        ]

    @property
    def loss_function(self) -> Loss:
        """The loss; a plug-in is imported here.

        Raises:
            PlugInError: the plug-in cannot be imported, or is no loss.
        """
        return loss(self.loss)

    @property
    def unpredicted(self) -> str:
        """Why theory gives neither trajectory nor rate, as a clause; empty where it does.

        >>> from widesweep.workers.optimizers import GradientDescent
        >>> GradientDescent(steps=1, loss="logistic").unpredicted
        "the loss is not squared, whose residual alone is linear in the network's outputs"
        """
        if self.loss != "squared":
            return "the loss is not squared, whose residual alone is linear in the network's outputs"
        if self.schedule != "constant":
            return "the learning rate follows a schedule"
        return "" if self.linear else f"an update by {self.optimizer} is not linear in the residual"

    @property
    def rates_per_limit(self) -> float | None:
        """η λ_max(Θ^∞) of a learning rate of 1; None where η is absolute."""
        return {"relative": 1.0, "stability": 2.0, "absolute": None}[self.learning_rate_unit]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """What a training cell stores."""
        early = (measurements.STOPPED,) if self.until is not None else ()
        return (*measurements.training_variables(self.measure), *early)

    @abstractmethod
    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """This optimiser on a batch."""

    def moving(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """This optimiser on a batch, at the rates of its schedule."""
        inner = self.stepper(ensemble, start)
        if not isinstance(self.schedule, Schedule):
            return inner
        return Scheduled(inner, ensemble, start, self.schedule, self.steps)

    def recorded_steps(self) -> tuple[int, ...]:
        """The steps that are recorded."""
        return recorded_steps(self.steps, self.records)

    def mode_factors(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray:
        """p_k(λ) of the linearised model, r(k) = p_k(Θ) r(0): (1 − ηλ)^k unless overridden.

        Args:
            eigenvalues: λ ≥ 0, shape (n,).
            learning_rate: η.
            steps: k, shape (steps,).

        Returns:
            Shape (steps, n).
        """
        return dynamics.mode_factors(eigenvalues, learning_rate, steps)

    def mean_residual_norm(
        self, eigenvalues: np.ndarray, power: np.ndarray, learning_rate: float, steps: Any, outputs: int = 1
    ) -> np.ndarray:
        """(E‖r(k)‖²)^½ of the linearised model over initial outputs f₀ ~ N(0, K) and the optimiser's noise.

        Args:
            eigenvalues: λ_i of Θ, ascending, shape (n,).
            power: E(v_iᵀr(0))², summed over outputs, as `dynamics.mean_initial_power` gives it, shape (n,).
            learning_rate: η.
            steps: k, shape (steps,).
            outputs: how many outputs share Θ, each with the optimiser's noise.

        Returns:
            Shape (steps,); inf where it overflows.

        Source: by modes, as in `dynamics.mean_residual_norm`.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            decayed = np.square(self.mode_factors(eigenvalues, learning_rate, steps)) @ power
            norms = np.sqrt(decayed + outputs * self.floor(eigenvalues, learning_rate, steps))
        return np.where(np.isnan(norms), np.inf, norms)

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """Late-time decay rate of ‖r‖ per step in the linearised model; NaN where noise ends the decay."""
        return float(dynamics.rate_per_step(learning_rate, eigenvalues[0]))

    def floor(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray | float:
        """What noise adds to the mean square of the linearised residual at each step; 0 without noise."""
        return 0.0

    def gradients_per_step(self, samples: int) -> float:
        """Cost of a step in full gradients, as the planner counts it."""
        return 1.0

    @property
    def skips_between_sync_steps(self) -> bool:
        """Whether it computes no more between two sync steps than `input_space_update` leaves to do."""
        return False

    @property
    def replays(self) -> bool:
        """Whether a GPU takes its steps between two sync steps as a captured graph (`engine.cuda_graphs`)."""
        return False

    @property
    def parameter_arrays(self) -> int:
        """Arrays as large as the parameters that the optimiser holds beside them."""
        return 0

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return 8 if self.dtype == "float64" else 4

    @property
    def rounding_floor(self) -> float:
        """Relative residual below which rounding rules: 1e-13 in float64, 1e-7 in float32."""
        return 1e-13 if self.dtype == "float64" else 1e-7


@functools.lru_cache(maxsize=64)
def recorded_steps(steps: int, records: int) -> tuple[int, ...]:
    """At most `records` log-spaced integers from 0 to `steps`, both included.

    >>> recorded_steps(1000, 5)
    (0, 1, 10, 100, 1000)
    """
    if records >= steps + 1:
        return tuple(range(steps + 1))
    low, high = records - 1, 4 * records + 2
    while low < high:  # the most log-spaced points whose distinct roundings still fit
        middle = (low + high + 1) // 2
        if len(_log_spaced(steps, middle)) <= records - 1:
            low = middle
        else:
            high = middle - 1
    return (0, *(int(step) for step in _log_spaced(steps, low)))


def _log_spaced(steps: int, points: int) -> np.ndarray:
    return np.unique(
        np.rint(np.geomspace(1, steps, max(points, 1)) if points > 1 else [steps]).astype(np.int64)
    )
