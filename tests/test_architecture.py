"""The house's table of who may import whom, held against the imports of every file."""

from __future__ import annotations

import ast
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
    "ray": {"pipeline/schedule.py"},
    "dask": {"analysis"},
    "distributed": {"analysis"},
    "torch": {"workers"},
    "numba": {"workers/compiled"},
    "llvmlite": {"workers/compiled"},
    "typer": {"pipeline"},
    "matplotlib": {"analysis"},
}
THEORY_LIBRARIES = {"numpy", "scipy"}


def imports(file: Path) -> set[str]:
    """Top-level names of everything a file imports, at its head or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
NAMES = [str(file.relative_to(ROOT)) for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_room_imports_only_the_rooms_below_it(file: Path) -> None:
    """No arrow runs up, and none between workers and analysis."""
    room = file.relative_to(ROOT).parts[0]
    assert imports(file) & set(ROOMS) <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_library_is_imported_where_it_belongs(file: Path) -> None:
    """Ray by the scheduler alone, Dask by analysis alone, torch by workers alone, Numba by compiled loops."""
    path = file.relative_to(ROOT)
    places = {str(place) for place in (path, *path.parents)}
    for library in imports(file) & set(OWN_LIBRARIES):
        assert places & OWN_LIBRARIES[library], f"{path} imports {library}"


def test_theory_needs_numpy_and_scipy_alone() -> None:
    """A theorist imports `theory` without anything else of ours or others'."""
    import sys

    for file in (ROOT / "theory").rglob("*.py"):
        others = imports(file) - THEORY_LIBRARIES - {"theory"} - sys.stdlib_module_names
        assert not others, f"{file.name} imports {others}"


def test_workers_write_no_files() -> None:
    """No `open` for writing, no `to_zarr`, no `save` in workers: the pipeline stores."""
    for file in (ROOT / "workers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {
                    "to_zarr",
                    "to_netcdf",
                    "write_text",
                    "write_bytes",
                    "savez",
                    "mkdir",
                }


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "configs/any.yaml"]])
def test_help_and_plan_import_nothing_heavy(arguments: list[str]) -> None:
    """Neither torch nor ray nor matplotlib is loaded for them; `--help` does without numpy."""
    import subprocess
    import sys

    code = (
        "import sys; from pipeline.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.partition("LOADED")[2].split())
    heavy = {"torch", "ray", "matplotlib", "dask"} | ({"numpy", "zarr"} if arguments == ["--help"] else set())
    assert not loaded & heavy
