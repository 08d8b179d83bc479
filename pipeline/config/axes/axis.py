"""What an axis of the grid is, beside width, depth, seed and learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from widesweep.workers.data import Data
from widesweep.workers.variable import Variable


def _same(data: Data, config: Any) -> Data:
    return data


@dataclass(frozen=True)
class Axis:
    """An axis along which each value is a sweep of its own; blocks have one value of it.

    Attributes:
        coordinate: what the store calls it and says of it.
        symbol: in tables, legends and the store.
        values: those that a config gives; none: the config has no such axis.
        along: the config with other values.
        at: the config at one of them, and so without the axis.
        predictions: variables of /theory that depend on it.
        tables: keys of `theory --json` that depend on it, each with the number of levels above its values.
        points: the training points at a value, from those that the config loads and the config at it.
        key: type and words of its key in `grid`, where `GridConfig` has none; None: its key is elsewhere.
    """

    coordinate: Variable
    symbol: str
    values: Callable[[Any], tuple[float, ...]]
    along: Callable[[Any, tuple[float, ...]], Any]
    at: Callable[[Any, float], Any]
    predictions: frozenset[str] = frozenset()
    tables: Mapping[str, int] | None = None
    points: Callable[[Data, Any], Data] = _same
    key: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """Of the dimension."""
        return self.coordinate.name


def of_grid(config: Any, name: str) -> tuple[float, ...]:
    """The values of a key of `grid`."""
    return getattr(config.grid, name, None) or ()


def in_grid(config: Any, name: str, values: tuple[float, ...] | None) -> Any:
    """A config with other values of a key of `grid`."""
    return config.model_copy(update={"grid": config.grid.model_copy(update={name: values})})
