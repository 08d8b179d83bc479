"""Optimisers that see parameters, gradients and arrays of their own: a rule for one array."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field

from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.optimizers.rate_scale import RateScale, mup_scale
from widesweep.workers.optimizers.stepper import Stepper

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
    """An optimiser that is an `UpdateRule`; theory knows it where it overrides `mode_factors`.

    Attributes:
        clip_norm: the largest norm of a cell's gradient over all layers; a longer one is scaled to it.
        learning_rate_scale: what η is multiplied by in `first`, `hidden` and `output` layers: a number, or a
            power of the width such as `1/width`; `mup` is the table of μP under Adam.
    """

    linear: ClassVar[bool] = False

    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    learning_rate_scale: RateScale | Literal["mup"] | None = None

    @property
    @abstractmethod
    def rule(self) -> UpdateRule:
        """How an array moves."""

    def stepper(self, ensemble: Ensemble, start: InitialState) -> Stepper:
        """The rule on every array of a batch."""
        return _ByRule(ensemble, start, self.rule, self.clip_norm, self.factors(start))

    @property
    def unpredicted(self) -> str:
        """Clipping and rates by layer beside the reasons of all optimisers."""
        if self.clip_norm is not None:
            return "gradients are clipped"
        return "layers have rates of their own" if self.learning_rate_scale else super().unpredicted

    def factors(self, start: InitialState) -> tuple[float, ...] | None:
        """What η of each layer is multiplied by; None: all by 1.

        Raises:
            ValueError: `mup` of a network for which no table is known.
        """
        if self.learning_rate_scale is None:
            return None
        scale = self.learning_rate_scale
        scale = mup_scale(start.network) if scale == "mup" else scale
        _, width, depth, _ = start.coordinates[0]
        return scale.factors(width, depth)

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
    def __init__(
        self,
        ensemble: Ensemble,
        start: InitialState,
        rule: UpdateRule,
        clip_norm: float | None,
        factors: tuple[float, ...] | None,
    ) -> None:
        super().__init__(ensemble, start)
        self.rule, self.clip_norm = rule, clip_norm
        places = factors or (1.0,) * len(ensemble.weights)
        trained = ensemble.trained
        self.factors = [
            factor
            for tensors in (trained.weights, trained.biases)
            for tensor, factor in zip(tensors, places, strict=False)
            if tensor is not None
        ]
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
            if self.clip_norm is not None:
                self._clip(self.clip_norm)
            arrays = zip(
                ensemble.trained.tensors, self.factors, self.gradient.tensors, *self._states(), strict=True
            )
            for theta, factor, gradient, *state in arrays:
                self.rule.update(theta, gradient, state, ensemble.learning_rates * factor, step + 1)

    def _clip(self, most: float) -> None:
        import torch

        from widesweep.workers.engine.norms import frobenius

        squares = [frobenius(gradient).square() for gradient in self.gradient.tensors]
        norm = torch.stack(squares, 1).sum(1).sqrt()
        scale = torch.where(norm > most, most / norm, 1.0)[:, None, None]
        for gradient in self.gradient.tensors:
            gradient.mul_(scale)

    def _states(self) -> list[list[Tensor]]:
        return [each.tensors for each in self.own]

    def keep(self, chosen: Tensor) -> None:
        self.gradient = self.gradient.chosen(chosen)
        self.own = [each.chosen(chosen) for each in self.own]

    @property
    def state(self) -> list[Tensor]:
        return [tensor for each in self.own for tensor in each.tensors]
