"""The grid of a sweep: its axes as the config writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.functional_validators import AfterValidator, BeforeValidator

from widesweep.workers.choices import ascending, listed

MAXIMUM_SIZE = 2**31 - 1
MAXIMUM_DEPTH = 10_000  # theory goes through the layers one by one

Size = Annotated[int, Field(ge=1, le=MAXIMUM_SIZE, strict=True)]
SeedNumber = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Depth = Annotated[int, Field(ge=1, le=MAXIMUM_DEPTH, strict=True)]
Sizes = Annotated[tuple[Size, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(ascending)]
Depths = Annotated[tuple[Depth, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(ascending)]
Seeds = Annotated[tuple[SeedNumber, ...], Field(min_length=1), AfterValidator(ascending)]
LearningRates = Annotated[
    tuple[LearningRate, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(ascending)
]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Fractions = Annotated[
    tuple[Fraction, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(ascending)
]


class GridConfig(BaseModel):
    """Axes of the grid, each in ascending order; every combination is a cell.

    Attributes:
        width: neurons in every hidden layer.
        depth: hidden layers.
        seed: a count (seeds 0, 1, …) or the seeds themselves.
        learning_rate: η, in the unit that `training.learning_rate_unit` names.
        corrupted_fraction: shares of the training labels that are corrupted, in place of
            `data.corrupted_fraction`; default: no such axis.

    >>> GridConfig(width=(8,), depth=(1,), seed=3, learning_rate=(1.0,)).seeds
    range(0, 3)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: Sizes = Field(
        json_schema_extra={"noun": "a width", "wanted": "widths are different integers from 1"}
    )
    depth: Depths = Field(
        json_schema_extra={"noun": "a depth", "wanted": "depths are different integers from 1 to 10,000"}
    )
    seed: Size | Seeds | None = Field(
        default=None,
        json_schema_extra={
            "noun": "a seed or a count of seeds",
            "wanted": "seed is a count from 1 or a list of different integers from 0",
        },
    )
    learning_rate: LearningRates | None = Field(
        default=None,
        json_schema_extra={
            "noun": "a learning rate",
            "wanted": "learning rates are different finite numbers above 0",
        },
    )
    corrupted_fraction: Fractions | None = Field(
        default=None,
        json_schema_extra={
            "noun": "a corrupted fraction",
            "wanted": "corrupted fractions are different numbers from 0 to 1",
        },
    )

    @property
    def seeds(self) -> Sequence[int]:
        """Seed numbers, in order; none without training."""
        if self.seed is None:
            return ()
        return range(self.seed) if isinstance(self.seed, int) else self.seed

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """Learning rates as the config writes them; none without training."""
        return self.learning_rate or ()
