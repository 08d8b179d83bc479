"""Optimisers that see parameters, gradients and arrays of their own: a rule for one array."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from widesweep.workers.optimizers.optimizer import Stepper, Training

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState


class UpdateRule(Protocol):
    """How one array of parameters moves; the same numbers whatever else is in the batch.

    Attributes:
        arrays: how many arrays as large as the parameters it keeps between steps, at first zeros.
    """

    @property
    def arrays(self) -> int: ...  # noqa: D102  (an attribute)

    def update(
        self, parameter: Tensor, gradient: Tensor, state: Sequence[Tensor], learning_rate: Tensor, step: int
    ) -> None:
        """Takes step `step` in place, element by element; the gradient may be overwritten.

        Args:
            parameter: θ of B cells, shape (B, rows, columns).
            gradient: ∇½Σ(αf − y)² there, the same shape.
            state: the rule's own arrays, the same shape.
            learning_rate: η, shape (B, 1, 1).
            step: k, from 1.
        """


class RuleTraining(Training):
    """An optimiser that is an `UpdateRule`; theory knows it where it overrides `mode_factors`."""

    linear: ClassVar[bool] = False

    @property
    @abstractmethod
    def rule(self) -> UpdateRule:
        """How an array moves."""

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """The rule on every array of a batch."""
        return _ByRule(ensemble, start, self.rule)

    def mode_factors(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray:
        """NaN: nothing is predicted."""
        return np.full((np.size(steps), np.size(eigenvalues)), np.nan)

    def mean_residual_norm(
        self, eigenvalues: np.ndarray, power: np.ndarray, learning_rate: float, steps: Any, outputs: int = 1
    ) -> np.ndarray:
        """By `mode_factors`; NaN where they are."""
        if self.linear:
            return super().mean_residual_norm(eigenvalues, power, learning_rate, steps, outputs)
        return np.full(np.size(steps), np.nan)

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """NaN: nothing is predicted."""
        return float("nan")

    @property
    def parameter_arrays(self) -> int:
        """The gradient, and the rule's own."""
        return 1 + self.rule.arrays


class _ByRule(Stepper):
    def __init__(self, ensemble: Ensemble, start: InitialState, rule: UpdateRule) -> None:
        super().__init__(ensemble, start)
        self.rule = rule
        self.gradient, self.own = ensemble.zeros(), [ensemble.zeros() for _ in range(rule.arrays)]

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        ensemble = self.ensemble
        for step in range(first, last):
            if step > first:
                residual = self.start.residual_of(ensemble.forward())
            for gradient in self.gradient.tensors:
                gradient.zero_()
            ensemble.backward(residual)
            ensemble.subtract_gradient(-1.0, self.gradient)
            arrays = zip(ensemble.trained.tensors, self.gradient.tensors, *self._states(), strict=True)
            for theta, gradient, *state in arrays:
                self.rule.update(theta, gradient, state, ensemble.learning_rates, step + 1)

    def _states(self) -> list[list[Tensor]]:
        return [each.tensors for each in self.own]

    def keep(self, chosen: Tensor) -> None:
        self.gradient = self.gradient.chosen(chosen)
        self.own = [each.chosen(chosen) for each in self.own]

    @property
    def state(self) -> list[Tensor]:
        return [tensor for each in self.own for tensor in each.tensors]
