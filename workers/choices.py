"""Rules for lists in a config: values that differ, and measurements chosen by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from widesweep.theory.registry import nearest


def listed(value: Any) -> Any:
    """A single value as a list of one; anything else as it is. For a `BeforeValidator` of lists in a config.

    >>> listed(64), listed([8, 16]), listed(None)
    ((64,), (8, 16), None)
    """
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str | int | float) else value


def ascending(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of an axis, as stores keep them; refuses an axis that names one coordinate twice.

    Raises:
        PydanticCustomError: of type "duplicate", which names the value.

    >>> ascending((4, 1, 2))
    (1, 2, 4)
    """
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise PydanticCustomError("duplicate", "{value} is there twice", {"value": value})
        seen.add(value)
    return tuple(sorted(values))


def chosen(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """The measurements of these names, each once, in the order of the list.

    Raises:
        ValueError: a name is unknown (the nearest is given), or there is none.

    >>> chosen(["drift", "loss"], ["loss", "kernel", "drift"])
    ('loss', 'drift')
    """
    every = tuple(known)
    for name in names:
        if name not in every:
            near = nearest(name, every, cutoff=0.5)
            wanted = f"the nearest is '{near}'" if near else f"they are {', '.join(every)}"
            raise ValueError(f"'{name}' is not a measurement; {wanted}")
    if not names:
        raise ValueError(f"nothing is measured; name some of {', '.join(every)}")
    return tuple(name for name in every if name in names)
