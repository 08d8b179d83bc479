"""What a measurement is called in the store: the one place that template, docs and report read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

CELL = ("width", "depth", "seed", "learning_rate")


@dataclass(frozen=True)
class Variable:
    """A variable of the store: its name, dimensions, units and meaning.

    Attributes:
        name: name in the store.
        dims: its dimensions there, outermost first.
        long_name: meaning, with the convention.
        units: CF units; "1" where there are none.
        dtype: NumPy dtype name in the store.
        attributes: further attributes, such as CF flags.

    >>> Variable("loss", CELL + ("step",), "half the sum of squared residuals").fill_value
    nan
    """

    name: str
    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    dtype: str = "float64"
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def fill_value(self) -> float | int:
        """What an unwritten entry reads as: NaN, or 0 for integers."""
        return float("nan") if np.issubdtype(np.dtype(self.dtype), np.floating) else 0

    def along(self, axis: str, *, after: str) -> Variable:
        """The same measurement on a grid with one axis more.

        >>> Variable("lambda_min", ("depth",), "").along("output_scale", after="depth").dims
        ('depth', 'output_scale')
        """
        place = self.dims.index(after) + 1
        return replace(self, dims=(*self.dims[:place], axis, *self.dims[place:]))


PENDING, DONE, DIVERGED, FAILED, NOT_REQUESTED = range(5)
STATUS_FLAGS = {
    "flag_values": [PENDING, DONE, DIVERGED, FAILED, NOT_REQUESTED],
    "flag_meanings": "pending done diverged failed not_requested",
}
