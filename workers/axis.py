"""An axis of the grid as a config writes it: a list that names no value twice."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values; refuses an axis that names one coordinate twice.

    Raises:
        PydanticCustomError: of type "duplicate", which names the value.

    >>> unique((1, 2))
    (1, 2)
    """
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise PydanticCustomError("duplicate", "{value} is there twice", {"value": value})
        seen.add(value)
    return values
