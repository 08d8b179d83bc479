"""The room's promises about itself: what it imports, and that its table is complete."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (ROOT / "theory").rglob("*.py") if path.name != "__init__.py")


def test_theory_imports_only_numpy_scipy_and_itself() -> None:
    """An import of anything else of ours, or of torch, dask or ray, would show here."""
    allowed = {"numpy", "scipy", "widesweep"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed | sys.stdlib_module_names, path.name


def test_the_table_lists_every_public_function_with_its_module() -> None:
    """docs/theory.md names each as `module.function`; what names plug-ins predicts nothing."""
    table = (ROOT / "docs" / "theory.md").read_text()
    for path in (path for path in MODULES if path.name != "registry.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert f"`{path.stem}.{node.name}`" in table, f"{path.stem}.{node.name}"


def test_every_public_function_has_an_executed_example() -> None:
    """A doctest in each docstring."""
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert ">>> " in (ast.get_docstring(node) or ""), f"{path.stem}.{node.name}"
