"""Config of random networks at initialisation: how many are drawn, and what is measured on them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.functional_validators import BeforeValidator

from widesweep.workers import choices
from widesweep.workers.random_networks.statistics import DEFAULT, STATISTICS


class InitializationConfig(BaseModel):
    """Random networks, no training: how many, and what is measured on them.

    Attributes:
        draws: random networks of each width and depth; may grow in a store that exists.
        orders: of `cumulants`, even.
        measure: names of files of `workers/random_networks/statistics`.
        points: of `joint_cumulants`, numbers of training points from 0.
        networks: of `hessian_norm`, networks drawn with every weight.

    >>> InitializationConfig(measure=("kernel_depth", "cumulants")).measure
    ('cumulants', 'kernel_depth')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    draws: Annotated[int, Field(ge=1000, le=10**12, strict=True)] = 1_000_000
    orders: Annotated[
        tuple[Annotated[int, Field(ge=4, le=8, multiple_of=2, strict=True)], ...],
        BeforeValidator(choices.listed),
    ] = (4, 6, 8)
    measure: Annotated[tuple[str, ...], BeforeValidator(choices.listed)] = DEFAULT
    points: Annotated[
        tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(min_length=1, max_length=16)
    ] = (0, 1)
    networks: Annotated[int, Field(ge=128, le=10**6, strict=True)] = 512

    @field_validator("orders")
    @classmethod
    def _orders_are_unique(cls, orders: tuple[int, ...]) -> tuple[int, ...]:
        if not orders or len(set(orders)) < len(orders):
            raise ValueError("orders are even integers from 4 to 8, each once, at least one")
        return orders

    @field_validator("points")
    @classmethod
    def _points_are_unique(cls, points: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(points)) < len(points):
            raise ValueError("points are numbers of different training points")
        return points

    @field_validator("measure")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return choices.chosen(names, STATISTICS)
