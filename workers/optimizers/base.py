"""What every optimiser's config has: the learning rate's unit, the steps, the records, the precision."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Steps = Annotated[int, Field(ge=1, le=100_000_000, strict=True)]
Records = Annotated[int, Field(ge=2, le=100_000, strict=True)]


class Training(BaseModel):
    """Settings that all optimisers share.

    `relative` learning rates are in units of 1/λ_max of the infinite-width tangent kernel of that depth.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate_unit: Literal["relative", "absolute"] = "relative"
    steps: Steps
    records: Records = 64
    dtype: Literal["float64", "float32"] = "float64"

    def recorded_steps(self) -> tuple[int, ...]:
        """The steps that are recorded."""
        return recorded_steps(self.steps, self.records)

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return 8 if self.dtype == "float64" else 4

    @property
    def rounding_floor(self) -> float:
        """Relative residual below which rounding rules: 1e-13 in float64, 1e-7 in float32."""
        return 1e-13 if self.dtype == "float64" else 1e-7


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
