"""The sweeps below a place, each with how far it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from widesweep.pipeline.errors import InputError, WidesweepError, printable
from widesweep.pipeline.store import address, status

DEEPEST = 4  # folders below the place


def sweeps(place: str) -> list[dict[str, Any]]:
    """Every sweep's store below a place, in the order of their paths.

    Args:
        place: a folder, or an address such as s3://bucket/folder; a store stands for itself.

    Returns:
        For each: `store`, and `name`, `state`, `cells` as `status` has them; or `problem`: why it is not.

    Raises:
        InputError: there is no such folder.
    """
    if address.is_remote(place):
        return [_described(url) for url in _remote(place)]
    folder = address.local_path(place)
    if not folder.is_dir():
        raise InputError(
            place, "there is no such folder", "PLACE is a folder or an address", "Nothing to list."
        )
    return [_described(str(path)) for path in _local(folder)]


def lines(found: list[dict[str, Any]]) -> str:
    """The same for people.

    >>> print(lines([{"store": "a.zarr", "name": "a", "state": "finished", "cells": {"done": 3, "failed": 1,
    ...     "diverged": 0, "pending": 0}}, {"store": "b.zarr", "problem": "it is no sweep's store"}]))
    a.zarr  finished  3 of 4 cells done, 1 failed
    b.zarr  not read: it is no sweep's store
    """
    if not found:
        return "No sweep is there."
    widest = max(len(each["store"]) for each in found)
    return "\n".join(f"{printable(each['store']):<{widest}}  {_line(each)}" for each in found)


def _line(each: dict[str, Any]) -> str:
    if "problem" in each:
        return f"not read: {each['problem']}"
    cells = each["cells"]
    rest = [f"{count} {state}" for state, count in cells.items() if count and state != "done"]
    return ", ".join([f"{each['state']}  {cells['done']} of {sum(cells.values())} cells done", *rest])


def _described(url: str) -> dict[str, Any]:
    try:
        state = status.status(url)
    except WidesweepError as error:
        reason = getattr(error, "found", None) or str(error)
        return {"store": url, "problem": printable(str(reason))[:120]}
    return {"store": url, "name": state["name"], "state": status.word(state), "cells": state["cells"]}


def _local(folder: Path) -> Iterator[Path]:
    if (folder / "zarr.json").is_file():
        yield folder
        return
    for path, folders, _ in os.walk(folder):
        here = Path(path)
        below = sorted(name for name in folders if not name.startswith("."))
        stores = [name for name in below if (here / name / "zarr.json").is_file()]
        yield from (here / name for name in stores)
        deep = len(here.relative_to(folder).parts) >= DEEPEST
        folders[:] = [] if deep else [name for name in below if name not in stores]


def _remote(place: str) -> Iterator[str]:
    """Stores in an address, and one folder below it."""
    system, path = address.filesystem(place)
    scheme = place.partition("://")[0]
    found = [] if not system.exists(f"{path}/zarr.json") else [path]
    for pattern in ("*/zarr.json", "*/*/zarr.json"):
        found += [each.removesuffix("/zarr.json") for each in system.glob(f"{path}/{pattern}")]
    tops = {each for each in found if each.rpartition("/")[0] not in found}
    yield from (f"{scheme}://{each.lstrip('/')}" for each in sorted(tops))


def as_json(found: list[dict[str, Any]]) -> dict[str, Any]:
    """One object, by the stores' addresses.

    >>> as_json([{"store": "a.zarr", "problem": "damaged"}])
    {'a.zarr': {'problem': 'damaged'}}
    """
    return {each["store"]: {key: value for key, value in each.items() if key != "store"} for each in found}
