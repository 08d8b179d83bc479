"""`--set KEY=VALUE`: one value of the config, replaced from the command line; `@FILE`: those of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from widesweep.pipeline.config import merging, yaml_text
from widesweep.pipeline.errors import InputError

_KEY = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+|\[\d+\])*")
_PART = re.compile(r"[\w-]+")


def apply(raw: dict[str, Any], assignments: Sequence[str]) -> dict[str, str]:
    """Applies `KEY=VALUE` assignments to a parsed config, in place and in order.

    Args:
        raw: the config as `yaml_text.read` returns it.
        assignments: such as `training.steps=100`, `grid.width=[64, 128]` or `grid.width[1]=256`; `@file.yaml`
            for all values of a file.

    Returns:
        For each key path that was set, the assignment it came from.

    Raises:
        InputError: no `=`, a malformed key, a list index past the end, a value that is not YAML, or a file
            that cannot be read.

    >>> config = {"grid": {"width": [8, 16]}}
    >>> apply(config, ["grid.width[1]=32", "training.steps=10"])
    {'grid.width[1]': '--set grid.width[1]=32', 'training.steps': '--set training.steps=10'}
    >>> config
    {'grid': {'width': [8, 32]}, 'training': {'steps': 10}}
    """
    origins: dict[str, str] = {}
    for assignment in assignments:
        if assignment.startswith("@"):
            origins |= _from_file(raw, Path(assignment[1:]))
            continue
        key, equals, text = assignment.partition("=")
        where = f"--set {assignment}"
        key = key.strip()
        if not equals or not _KEY.fullmatch(key):
            raise InputError(where, "it is not KEY=VALUE", "write it like `--set training.steps=100`")
        path = _assign(raw, _PART.findall(key), yaml_text.parse(text, where), where)
        origins[path] = where
    return origins


def _from_file(raw: dict[str, Any], file: Path) -> dict[str, str]:
    """Merges a file's mapping into the config."""
    changes = yaml_text.read(file)
    merged = merging.merged_with(raw, changes)
    raw.clear()
    raw.update(merged)
    return {key: f"{file}, {key}" for key in merging.leaves(changes)}


def _assign(raw: dict[str, Any], parts: list[str], value: Any, where: str) -> str:
    """Walks to the last part, making mappings on the way; the path as messages write it."""
    target: Any = raw
    path = ""
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(target, list):
            index = _index(part, target, path, where)
            path += f"[{index}]"
            if last:
                target[index] = value
            target = target[index]
        elif isinstance(target, dict):
            path = f"{path}.{part}" if path else part
            if last:
                target[part] = value
            elif target.get(part) is None:
                target[part] = {}
            target = target[part]
        else:
            raise InputError(
                where, f"{path} is {yaml_text.describe(target)}", "only mappings and lists have parts"
            )
    return path


def _index(part: str, values: list[Any], path: str, where: str) -> int:
    if not part.isdecimal() or int(part) >= len(values):
        wanted = f"an index of it is 0 to {len(values) - 1}" if values else "it has no elements"
        raise InputError(where, f"{path} is a list of {len(values)} and has no [{part}]", wanted)
    return int(part)
