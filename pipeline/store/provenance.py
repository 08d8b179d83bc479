"""What a run's numbers come from besides its config: the code, and the libraries that it stands on."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

from widesweep import source

_LIBRARIES = ("numpy", "scipy", "numba", "torch", "ray", "zarr", "xarray")
_UNKNOWN = "unknown"


def attributes() -> dict[str, str]:
    """What the root says of the code that made a store, and `/run` of the last run that came to its end."""
    return {
        "code_version": source.version(),
        "code_digest": source.digest(),
        "code_commit": source.commit(),
        "library_versions": json.dumps({"python": platform.python_version(), **_libraries()}),
    }


def changes(run: Mapping[str, Any]) -> list[str]:
    """How code and libraries differ from those of an earlier run, by the attributes of `/run`.

    >>> now = attributes()
    >>> changes(now), changes(now | {"code_digest": "0a1b2c3d4e"})[0][:23]
    ([], 'source 0a1b2c3d is now ')
    """
    now = attributes()
    before, after = str(run.get("code_digest", _UNKNOWN)), now["code_digest"]
    found = [f"source {before[:8]} is now {after[:8]}"] if before != after else []
    then, libraries = json.loads(run.get("library_versions", "{}")), json.loads(now["library_versions"])
    names = sorted(then.keys() | libraries.keys()) if then else []
    pairs = [(name, then.get(name, "absent"), libraries.get(name, "absent")) for name in names]
    return found + [f"{name} {old} is now {new}" for name, old, new in pairs if old != new]


@functools.cache
def _libraries() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
