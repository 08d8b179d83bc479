"""`base: other.yaml`: a config that is another one with some values replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from widesweep.pipeline.config import merging, shipped, yaml_text
from widesweep.pipeline.errors import InputError

NOT_INHERITED = ("name", "store")  # or the two would be one sweep


def read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Reads a config and those that it is based on.

    Mappings are merged key by key, and everything else is replaced. A section whose kind differs from its
    base's is replaced as a whole. `name` and `store` are each config's own.

    Args:
        path: the config's file.

    Returns:
        The config without `base`, and for each key path that a base gave, where.

    Raises:
        InputError: a file cannot be read, is its own base, or `base` is no text.
    """
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    raw = yaml_text.read(path)
    base = raw.pop("base", None)
    if base is None:
        return raw, {}
    where = f"{path}, base"
    if not isinstance(base, str):
        raise InputError(where, f"it is {yaml_text.describe(base)}", "it is the path of another config")
    place = _place(base, path, where)
    chain = (*above, path.resolve())
    if place.resolve() in chain:
        raise InputError(where, f"{base} is based on this config", "no config is its own base")
    inherited, origins = _read(place, chain)
    inherited = {key: value for key, value in inherited.items() if key not in NOT_INHERITED}
    origins |= {key: f"{place}, {key}" for key in merging.leaves(inherited) if key not in origins}
    own = merging.leaves(raw)
    merged = merging.merged_with(inherited, raw)
    kept = merging.leaves(merged)
    return merged, {key: origin for key, origin in origins.items() if key in kept and key not in own}


def _place(base: str, path: Path, where: str) -> Path:
    """The file beside this one, or a shipped config of that name."""
    beside = path.resolve().parent / base
    if beside.exists():
        return beside
    if base in shipped.names():
        return shipped.example(base)
    wanted = "it is a path from this config's folder, or a name that `widesweep init --list` shows"
    raise InputError(where, f"there is no {base}", wanted)
