"""Plug-ins of a config: imported when a sweep is run, told apart by digests, and the same on every worker.

A module that lies beside the config is taken from there. Its digest covers it and every module beside the
config that it imports; an installed one's covers its distribution.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from widesweep.pipeline.errors import InputError
from widesweep.theory.registry import PlugInError, Registry
from widesweep.workers.losses import LOSSES
from widesweep.workers.measurements import OWN_MEASUREMENTS
from widesweep.workers.networks.custom_activation import ACTIVATIONS
from widesweep.workers.networks.module import FACTORIES
from widesweep.workers.optimizers.custom_optimizer import OPTIMIZERS

T = TypeVar("T")
REGISTRIES: dict[str, Registry[Any]] = {
    each.kind: each for each in (ACTIVATIONS, FACTORIES, OPTIMIZERS, LOSSES, OWN_MEASUREMENTS)
}


@dataclass(frozen=True)
class Named:
    """A name in a config that may be a plug-in's: its key, such as network.activation, its kind, itself."""

    key: str
    kind: str
    name: str

    @property
    def reference(self) -> str | None:
        """Where it is imported from; None: it is no plug-in."""
        return REGISTRIES[self.kind].reference(self.name)


@dataclass(frozen=True)
class PlugIn:
    """What a store keeps of a plug-in.

    Attributes:
        kind: such as activation.
        name: as the config gives it.
        reference: `package.module:Name`.
        version: of its distribution; empty for a file.
        digest: SHA-256 of its source, hexadecimal.
        modules: top-level ones beside the config that the digest covers; none where it is installed.
    """

    kind: str
    name: str
    reference: str
    version: str
    digest: str
    modules: tuple[str, ...] = ()

    def stored(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "modules": list(self.modules)}


def load(named: Iterable[Named], folder: Path, file: str) -> tuple[PlugIn, ...]:
    """Imports the plug-ins of a config.

    Args:
        named: names in the config.
        folder: the config's, where modules are looked for first.
        file: the config's name, for messages.

    Raises:
        InputError: one cannot be imported or breaks its interface; with its traceback's last line and file.
    """
    found = []
    for each in named:
        try:
            reference = each.reference
            if reference is None:
                continue
            with _from(folder, _top(reference)):
                REGISTRIES[each.kind].get(each.name)
        except (ValueError, PlugInError) as error:
            wanted = f"it is in a module of {folder} or of an installed package"
            raise InputError(f"{file}, {each.key}", f"'{each.name}': {error}", wanted) from None
        found.append(_described(each, reference, folder))
    return tuple(found)


def imported(registry: Registry[T], name: str, folder: Path) -> T:
    """A reader's own thing, from the folder first.

    Raises:
        PlugInError: it cannot be imported, or breaks its interface.
    """
    with _from(folder, _top(name)):
        return registry.get(name)


def require(plug_ins: Iterable[PlugIn], folder: Path) -> None:
    """Imports plug-ins in another process, and makes sure that they are the driver's.

    Raises:
        PlugInError: one cannot be imported here, or its source differs from the driver's.
    """
    for each in plug_ins:
        with _from(folder, _top(each.reference)):
            if ":" not in each.name:  # an entry point, or a name of the driver's own process
                REGISTRIES[each.kind].register(each.name, each.reference)
            REGISTRIES[each.kind].get(each.name)
            for module in each.modules:
                importlib.import_module(module)
        if (digest := _digest(each.reference, each.modules)) != each.digest:
            raise PlugInError(f"{each.reference} is {digest[:8]} here, {each.digest[:8]} at the driver")


def paths(plug_ins: Iterable[PlugIn], folder: Path) -> list[str]:
    """Files and packages beside the config that workers of another machine need."""
    tops = sorted({module for each in plug_ins for module in each.modules})
    return [str(place) for top in tops if (place := _beside(folder, top)) is not None]


def difference(ours: Iterable[PlugIn], theirs: Iterable[dict[str, Any]]) -> str:
    """The first plug-in whose source is another one's in the store, in words; empty where none is."""
    digests = {(each["kind"], each["name"]): each for each in theirs}
    for each in ours:
        there = digests.get((each.kind, each.name))
        if there is not None and there["digest"] != each.digest:
            now, then = (f"{v} " if v else "" for v in (each.version, there["version"]))
            return f"{each.name} is {now}{each.digest[:8]}, there {then}{there['digest'][:8]}"
    return ""


@contextlib.contextmanager
def _from(folder: Path, top: str) -> Iterator[None]:
    """While it lasts, `top` is imported from the folder if it lies there: anew where it has changed since."""
    if _beside(folder, top) is None:
        if _loaded.pop(top, None) is not None:
            _forget(top)
        yield
        return
    tops = _imports(folder, top)
    sources = {each: _source(_beside(folder, each)) for each in tops}
    for each in tops:
        if _loaded.get(each) != (folder, sources):
            _forget(each)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
    _loaded.update(dict.fromkeys(tops, (folder, sources)))


def _forget(top: str) -> None:
    """Lets the next import of a module read its file."""
    for name in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
        del sys.modules[name]


_loaded: dict[str, tuple[Path, dict[str, bytes]]] = {}  # modules beside a config, as they were imported


def _beside(folder: Path, top: str) -> Path | None:
    """The file or package of a top-level module in a folder; None where it is not there."""
    for place, proof in ((folder / f"{top}.py", ""), (folder / top, "__init__.py")):
        if (place / proof).is_file():
            return place
    return None


def _imports(folder: Path, top: str) -> tuple[str, ...]:
    """A module beside the config and those there that it imports, however deep, sorted."""
    found, waiting = set[str](), [top]
    while waiting:
        found.add(each := waiting.pop())
        for file in _files(_beside(folder, each)):
            with contextlib.suppress(SyntaxError, ValueError):  # importing it says more
                names = {name.partition(".")[0] for name in _imported_names(ast.parse(file.read_bytes()))}
                waiting += [n for n in names - found if n != "widesweep" and _beside(folder, n) is not None]
    return tuple(sorted(found))


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _described(named: Named, reference: str, folder: Path) -> PlugIn:
    top = _top(reference)
    modules = _imports(folder, top) if _beside(folder, top) is not None else ()
    version = "" if modules else getattr(_distribution(top), "version", "")
    return PlugIn(named.kind, named.name, reference, version, _digest(reference, modules), modules)


def _digest(reference: str, modules: tuple[str, ...]) -> str:
    """Of the modules' sources; of an installed one, of what its distribution lists, or of its own."""
    digest, distribution = hashlib.sha256(), _distribution(_top(reference))
    record = None if modules or distribution is None else distribution.read_text("RECORD")
    if record is not None and f"{_top(reference)}/__init__.py," in record:
        digest.update(record.encode())
        return digest.hexdigest()
    for top in modules or (_top(reference),):
        file = Path(str(sys.modules[top].__file__))
        digest.update(f"{top}\0".encode() + _source(file.parent if file.name == "__init__.py" else file))
    return digest.hexdigest()


def _source(place: Path | None) -> bytes:
    """All Python files of a module or package, with their names."""
    files = _files(place)
    return b"".join(f"{f.name}\0{f.stat().st_size}\0".encode() + f.read_bytes() for f in files)


def _files(place: Path | None) -> list[Path]:
    if place is None:
        return []
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


@functools.cache
def _distribution(top: str) -> importlib.metadata.Distribution | None:
    """The installed distribution that has a top-level package."""
    names = importlib.metadata.packages_distributions().get(top, [])
    return importlib.metadata.distribution(names[0]) if names else None


def _top(reference: str) -> str:
    return reference.partition(":")[0].partition(".")[0]
