"""Which source this process runs (version, digest, commit), and how a worker gets the same.

`call` and `pin` travel to workers by value and run before the package is imported there, so this module needs
nothing but the standard library, and these two functions nothing of this module but each other.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

FOLDER = Path(__file__).parent


class Source(TypedDict):
    """The package that a driver runs.

    Attributes:
        folder: where it lies.
        file: this module's file in it.
        version: of the distribution.
        digest: as `digest` gives it.
        path: the driver's `sys.path`, absolute.
        added: folders that Ray puts first on the path of the driver's workers.
    """

    folder: str
    file: str
    version: str
    digest: str
    path: list[str]
    added: list[str]


@functools.cache
def digest() -> str:
    """SHA-256 of the package's source, hexadecimal: of each module's path and bytes, in order of their paths.

    A wheel and a checkout of the same source have the same digest.
    """
    modules = {}
    for folder, _, names in os.walk(FOLDER, followlinks=True):
        for file in (Path(folder, name) for name in names if name.endswith(".py")):
            modules[file.relative_to(FOLDER).as_posix()] = file
    whole = hashlib.sha256()
    for name, file in sorted(modules.items()):
        content = file.read_bytes()
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def version() -> str:
    """The version of the distribution, "unknown" where it is not installed."""
    try:
        return importlib.metadata.version("widesweep")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@functools.cache
def commit() -> str:
    """The commit of the checkout that the package lies in, with `-dirty` after changes; else empty."""
    tracked = ("ls-files", "--error-unmatch", Path(__file__).name)
    describe = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    found = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        for words in (tracked, describe):
            command = ["git", "-C", str(FOLDER), *words]
            found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    return found.strip()


def here() -> Source:
    """What this process runs, as its workers are told."""
    path = [os.path.abspath(entry) for entry in sys.path]
    added = [os.path.abspath(os.curdir), os.path.dirname(os.path.realpath(sys.argv[0]))]
    return Source(
        folder=str(FOLDER), file=__file__, version=version(), digest=digest(), path=path, added=added
    )


def pin(source: Source) -> None:
    """Imports the driver's package: from the driver's folder if this machine has it, else as installed here.

    Raises:
        ImportError: of the name `widesweep`: it is not here, or its source is not the driver's.
    """
    name, file = "widesweep", os.path.join(source["folder"], "__init__.py")
    if name not in sys.modules and os.path.exists(file):
        spec = importlib.util.spec_from_file_location(
            name, file, submodule_search_locations=[source["folder"]]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    try:
        ours = importlib.import_module(f"{name}.source")
        found = f"widesweep {ours.version()}, source {ours.digest()[:8]}, in {ours.FOLDER}"
        if ours.digest() == source["digest"]:
            return
    except ImportError:
        found = "no widesweep that could be imported, or one of an earlier version"
    wanted = f"{source['version']}, source {source['digest'][:8]}"
    reason = f"a worker on {socket.gethostname()} has {found}; the driver runs widesweep {wanted}"
    raise ImportError(reason, name=name)


def call(source: Source, function: str, *arguments: bytes) -> Any:
    """Calls a function of the driver's package, such as `widesweep.module:name`, with pickled arguments.

    The driver's working folder leaves the front of this worker's path; what the driver itself imports from
    comes after everything that is installed here.
    """
    if "widesweep" not in sys.modules:
        while sys.path and sys.path[0] in source["added"]:
            del sys.path[0]
        sys.path += [entry for entry in source["path"] if entry not in sys.path]
    pin(source)
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(*map(pickle.loads, arguments))
