"""Nested mappings of a config, one put over another."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

KINDS = ("kind", "optimizer")  # a section of another kind has keys of its own


def merged_with(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with what the changes say.

    >>> merged_with({"a": {"b": 1, "c": [2]}, "d": 3}, {"a": {"c": [4]}})
    {'a': {'b': 1, 'c': [4]}, 'd': 3}
    >>> merged_with({"network": {"kind": "two_layer", "x": 1}}, {"network": {"kind": "resnet"}})
    {'network': {'kind': 'resnet'}}
    """
    result = deepcopy(base)
    for key, value in changes.items():
        old = result.get(key)
        together = isinstance(old, dict) and isinstance(value, dict) and not _other_kind(old, value)
        result[key] = merged_with(old, value) if together else value  # type: ignore[arg-type]
    return result


def leaves(content: dict[str, Any], path: str = "") -> list[str]:
    """Key paths of all values.

    >>> leaves({"a": {"b": 1, "c": [2]}, "d": 3})
    ['a.b', 'a.c', 'd']
    """
    found = []
    for key, value in content.items():
        inner = f"{path}.{key}" if path else str(key)
        found += leaves(value, inner) if isinstance(value, dict) and value else [inner]
    return found


def _other_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(key in new and key in old and new[key] != old[key] for key in KINDS)
