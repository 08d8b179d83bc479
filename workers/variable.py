"""What a measurement is called in the store: the one place that template, docs and report read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

PROPER = {"ntk": "NTK", "hessian": "Hessian", "du": "Du's"}
CELL = ("width", "depth", "seed", "learning_rate")


@dataclass(frozen=True)
class Variable:
    """A variable of the store: its name, dimensions, units and meaning.

    Attributes:
        name: name in the store.
        dims: its dimensions there, outermost first.
        description: meaning, with the formula and the convention.
        units: CF units; "1" where there are none.
        dtype: NumPy dtype name in the store.
        attributes: further attributes, such as CF flags.
        label: what a plot's axis says; default: the name in words.

    >>> Variable("loss", CELL + ("step",), "half the sum of squared residuals").fill_value
    nan
    >>> Variable("ntk_mean_standard_error", ("width",), "jackknife over groups of draws").long_name
    '± NTK mean'
    """

    name: str
    dims: tuple[str, ...]
    description: str
    units: str = "1"
    dtype: str = "float64"
    attributes: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def long_name(self) -> str:
        """A few words that fit on one line of a plot's axis together with the units."""
        name = self.name.removesuffix("_standard_error")
        words = " ".join(PROPER.get(word, word) for word in name.removesuffix("_s").split("_"))
        return self.label or (words if name == self.name else f"± {words}")

    @property
    def stored_attributes(self) -> dict[str, Any]:
        """What the store says of it, as CF has it; xarray's plots take their labels from there."""
        texts = {"long_name": self.long_name, "units": self.units, "description": self.description}
        return texts | self.attributes

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
