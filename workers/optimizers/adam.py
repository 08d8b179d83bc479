"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from widesweep.workers.optimizers.nesterov import Momentum as Beta
from widesweep.workers.optimizers.update_rule import RuleTraining, UpdateRule

if TYPE_CHECKING:
    from torch import Tensor

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Adam(RuleTraining):
    """θ ← θ − η m̂/(√v̂ + ε), m̂ = m/(1 − β₁^k), v̂ = v/(1 − β₂^k), m and v running means of g and g².

    g is the gradient of ½Σ(αf − y)², summed and not averaged: ε stands beside its size. η is absolute by
    nature: `relative` divides it by λ_max all the same.

    Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.

    Attributes:
        betas: β₁ and β₂.
        epsilon: ε.

    >>> Adam(steps=10).rule.arrays
    2
    """

    optimizer: Literal["adam"] = "adam"
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    epsilon: Positive = 1e-8

    @property
    def rule(self) -> UpdateRule:
        """Two arrays: m and v."""
        return _Moments(*self.betas, self.epsilon)


class AdamW(RuleTraining):
    """Adam after θ ← (1 − ηλ)θ.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with the schedule's multiplier η and λ
    per unit of it, as torch has it.

    Attributes:
        betas: β₁ and β₂.
        epsilon: ε.
        weight_decay: λ.

    >>> AdamW(steps=10, weight_decay=0.1).weight_decay
    0.1
    """

    optimizer: Literal["adamw"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    epsilon: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01

    @property
    def rule(self) -> UpdateRule:
        """Two arrays: m and v."""
        return _Moments(*self.betas, self.epsilon, self.weight_decay)


@dataclass(frozen=True)
class _Moments:
    beta_1: float
    beta_2: float
    epsilon: float
    decay: float = 0.0
    arrays: int = 2

    def update(
        self, parameter: Tensor, gradient: Tensor, state: Sequence[Tensor], learning_rate: Tensor, step: int
    ) -> None:
        mean, square = state
        if self.decay:
            parameter.mul_(1.0 - self.decay * learning_rate)
        mean.mul_(self.beta_1).add_(gradient, alpha=1.0 - self.beta_1)
        square.mul_(self.beta_2).addcmul_(gradient, gradient, value=1.0 - self.beta_2)
        scale = (square / (1.0 - self.beta_2**step)).sqrt_().add_(self.epsilon)
        parameter.sub_(mean.div(scale).mul_(learning_rate / (1.0 - self.beta_1**step)))
