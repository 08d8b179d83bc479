"""The house's table of who may import whom, held against the imports of every file."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("theory", "workers", "analysis", "pipeline")
MAY_IMPORT = {
    "theory": set(),
    "workers": {"theory"},
    "analysis": {"theory"},
    "pipeline": {"workers", "theory", "analysis"},
}
OWN_LIBRARIES = {
    "ray": {"pipeline/execution"},
    "dask": {"analysis"},
    "distributed": {"analysis"},
    "torch": {"workers"},
    "numba": {"workers/engine/compiled"},
    "llvmlite": {"workers/engine/compiled"},
    "typer": {"pipeline"},
    "matplotlib": {"analysis"},
}
THEORY_LIBRARIES = {"numpy", "scipy"}
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


def module(file: Path) -> str:
    """The dotted name of a file below the package: pipeline.store.reader."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(file): file for file in FILES}


@cache
def imports(file: Path) -> frozenset[str]:
    """Dotted names that a file imports, at its head, inside functions, and for types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def libraries(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(file)}


def ours(file: Path) -> set[str]:
    """Our own modules that a file imports, as keys of MODULES; the most specific one of each name."""
    found = set()
    for name in imports(file):
        if name.startswith("widesweep."):
            below = name.removeprefix("widesweep.")
            found.add(below if below in MODULES else below.rpartition(".")[0])
    return found & set(MODULES)


def test_a_room_imports_only_the_rooms_below_it() -> None:
    """No arrow runs up, and none between workers and analysis; every import goes by the package's name."""
    for file in FILES:
        room = file.relative_to(ROOT).parts[0]
        assert {name.partition(".")[0] for name in ours(file)} <= MAY_IMPORT[room] | {room}, file
        assert not libraries(file) & set(ROOMS), file


def test_a_library_is_imported_where_it_belongs() -> None:
    """Ray by execution alone, Dask by analysis alone, torch by workers alone, Numba by compiled loops."""
    for path in (file.relative_to(ROOT) for file in FILES):
        places = {str(place) for place in (path, *path.parents)}
        for library in libraries(ROOT / path) & set(OWN_LIBRARIES):
            assert places & OWN_LIBRARIES[library], f"{path} imports {library}"


def test_no_module_imports_itself_by_a_detour() -> None:
    """No circle of files, imports for types alone included."""
    graphlib.TopologicalSorter({name: ours(file) - {name} for name, file in MODULES.items()}).prepare()


@pytest.mark.parametrize("room", ROOMS)
def test_no_folder_imports_itself_by_a_detour(room: str) -> None:
    """No circle of a room's folders either; a file that lies in no folder stands for itself."""

    def place(name: str) -> str:
        parts = name.split(".")
        return parts[1] if len(parts) > 1 else ""

    graph: dict[str, set[str]] = {}
    for name, file in MODULES.items():
        if name.startswith(f"{room}."):
            inside = {place(each) for each in ours(file) if each.startswith(f"{room}.")}
            graph.setdefault(place(name), set()).update(inside - {place(name)})
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("room", ROOMS)
def test_a_name_is_one_file_of_a_room(room: str) -> None:
    """No basename twice in a room, and none that looks like a test's."""
    files = [file for file in FILES if file.relative_to(ROOT).parts[0] == room and file.stem != "__init__"]
    names = Counter(file.stem for file in files)
    assert not [name for name, count in names.items() if count > 1]
    assert not [name for name in names if name.startswith("test_") or name.endswith("_test")]


TESTS = [file for folder in ("tests", "benchmarks") for file in sorted((ROOT / folder).rglob("*.py"))]


def private_names(text: str) -> set[str]:
    """Names with one underscore in front that a text imports, replaces or asks for by name.

    Ruff's SLF001 sees those that it reads as attributes.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = getattr(node, "module", None) or ""
            found |= {part for alias in node.names for part in f"{origin}.{alias.name}".split(".")}
        elif isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found |= {str(node.args[1].value)} if called in ("setattr", "getattr", "delattr") else set()
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_tests_touch_no_private_name() -> None:
    """What a test needs is public, or is reached through what is."""
    for file in TESTS:
        assert not private_names(file.read_text()), file


def test_a_private_name_would_be_seen() -> None:
    """Negative control: an import, a module's own name, and a name that is replaced."""
    text = "from a import _b\nfrom a._c import d\nsetattr(a, '_e', 1)\nfrom __future__ import division"
    assert private_names(text) == {"_b", "_c", "_e"}


def test_a_folder_says_what_it_is_for() -> None:
    """Every folder has an `__init__` that begins with a docstring."""
    for folder in {file.parent for file in FILES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_theory_needs_numpy_and_scipy_alone() -> None:
    """A theorist imports `theory` without anything else of ours or others'."""
    for file in (ROOT / "theory").rglob("*.py"):
        others = libraries(file) - THEORY_LIBRARIES - {"widesweep"} - sys.stdlib_module_names
        assert not others, f"{file.name} imports {others}"


def test_workers_write_no_files() -> None:
    """No `open` for writing, no `to_zarr`, no `save` in workers: the pipeline stores."""
    writing = {"to_zarr", "to_netcdf", "write_text", "write_bytes", "savez", "mkdir"}
    for file in (ROOT / "workers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            assert not (isinstance(node, ast.Attribute) and node.attr in writing), file


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "configs/any.yaml"]])
def test_help_and_plan_import_nothing_heavy(arguments: list[str]) -> None:
    """Neither torch nor ray nor matplotlib is loaded for them; `--help` does without numpy."""
    code = (
        "import sys; from widesweep.pipeline.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.partition("LOADED")[2].split())
    heavy = {"torch", "ray", "matplotlib", "dask"} | ({"numpy", "zarr"} if arguments == ["--help"] else set())
    assert not loaded & heavy
