"""How η changes with the step: constant, a linear warm-up, a cosine, or pieces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from widesweep.workers.optimizers.stepper import Stepper

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.engine.ensemble import Ensemble
    from widesweep.workers.engine.initial_state import InitialState

Count = Annotated[int, Field(ge=1, strict=True)]
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Schedule(BaseModel):
    """η(k) = η s(k), s(k) = warm-up × cosine × pieces; each is 1 where it is not given.

    Attributes:
        warmup: steps over which s rises linearly: (k + 1)/warmup before them.
        cosine: s falls along half a cosine from the end of the warm-up to this share at the last step.
        pieces: [step, s] pairs: s from that step on.

    >>> [Schedule(warmup=2, pieces=((3, 0.1),)).factor(k, steps=5) for k in range(5)]
    [0.5, 1.0, 1.0, 0.1, 0.1]
    >>> [round(Schedule(cosine=0.0).factor(k, steps=4), 3) for k in range(4)]
    [1.0, 0.75, 0.25, 0.0]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    warmup: Count | None = None
    cosine: Factor | None = None
    pieces: tuple[tuple[Count, Factor], ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.warmup is None and self.cosine is None and not self.pieces:
            raise ValueError("an empty schedule; give warmup, cosine or pieces, or write constant")
        return self

    def factor(self, step: int, steps: int) -> float:
        """s(k).

        Args:
            step: k, from 0.
            steps: of the whole training.
        """
        begun = self.warmup or 0
        found = min(1.0, (step + 1) / begun) if begun else 1.0
        if self.cosine is not None and step >= begun:
            done = (step - begun) / max(1, steps - 1 - begun)
            found *= self.cosine + (1.0 - self.cosine) * 0.5 * (1.0 + math.cos(math.pi * done))
        begun_pieces = [piece for piece in self.pieces if piece[0] <= step]
        return found * max(begun_pieces)[1] if begun_pieces else found


ScheduleConfig = Literal["constant"] | Schedule


class Scheduled(Stepper):
    """Another optimiser, each step at its own η."""

    def __init__(
        self, inner: Stepper, ensemble: Ensemble, start: InitialState, schedule: Schedule, steps: int
    ) -> None:
        """Wraps an optimiser.

        Args:
            inner: of the same batch.
            ensemble: the batch.
            start: where its cells began.
            schedule: s(k).
            steps: of the whole training.
        """
        super().__init__(ensemble, start)
        self.inner, self.schedule, self.steps = inner, schedule, steps

    def advance(self, residual: Tensor, first: int, last: int) -> None:
        """Moves the parameters step by step; η is as it was thereafter."""
        rates = self.ensemble.learning_rates
        base = rates.clone()
        for step in range(first, last):
            if step > first:
                residual = self.start.residual_of(self.ensemble.forward())
            rates.copy_(base * self.schedule.factor(step, self.steps))
            self.inner.advance(residual, step, step + 1)
        rates.copy_(base)  # what measurements read

    def keep(self, chosen: Tensor) -> None:
        """Follows the batch."""
        self.inner.keep(chosen)

    @property
    def state(self) -> list[Tensor]:
        """The optimiser's own."""
        return self.inner.state
