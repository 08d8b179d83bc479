"""Files, modules and functions that a page names are there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT

FOLDERS = {
    folder.name for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")
} - {"results", "reports", "site", "build"}
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_DOTTED = re.compile(r"widesweep(\.\w+)+")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def quoted(text: str) -> list[str]:
    """What stands in backticks, outside of fences."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))


def missing_files(text: str) -> Iterator[str]:
    """Paths into the repository, and names of tests and configs, that are not there."""
    written = set(re.findall(r"^<!-- file: (.+?) -->$", text, re.MULTILINE))
    for word in set(quoted(text)) - written:
        if not _PATH.fullmatch(word) or re.search(r"[A-Z]{4}\.", word):  # NAME.ipynb stands for any
            continue
        first, slash, _ = word.partition("/")
        if slash and first in FOLDERS:
            found = (ROOT / word).exists()
        elif re.fullmatch(r"test_\w+\.py", word):
            found = any((ROOT / "tests").rglob(word))
        else:
            found = not word.endswith(".yaml") or (ROOT / "configs" / word).exists()
        if not found:
            yield word


def missing_names(text: str) -> Iterator[str]:
    """Dotted names below `widesweep` that cannot be imported."""
    return (word for word in set(quoted(text)) if _DOTTED.fullmatch(word) and not resolves(word))


ENTRY_POINTS = {"widesweep.activation"}  # groups in which packages name plug-ins; no module


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one.

    >>> resolves("widesweep.theory.spectrum.eigenvalues_with_error"), resolves("widesweep.theory.spectre")
    (True, False)
    """
    if dotted in ENTRY_POINTS:
        return True
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        above, _, name = dotted.rpartition(".")
        if not resolves(above):
            return False
        return hasattr(importlib.import_module(above), name)
    return True


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    """Paths from the root in backticks; tests and configs also by their names alone."""
    assert not list(missing_files(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_dotted_name_of_a_page_exists(page: Path) -> None:
    """Modules, and what is in them."""
    assert not list(missing_names(page.read_text()))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_link_of_a_page_outside_the_site_leads_somewhere(name: str) -> None:
    """Sphinx checks the links of the site's own pages."""
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_every_function_in_the_table_of_theory_exists() -> None:
    """Rows give `file.function` or `Class.method`, as one finds them below `theory/`."""
    modules = [importlib.import_module(f"widesweep.theory.{dotted(file)}") for file in theory_files()]
    by_name = {module.__name__.rpartition(".")[2]: module for module in modules}
    names = [name for row in theory_rows() for name in re.findall(r"`(\w+\.\w+)`", row)]
    assert len(names) > 60
    for name in names:
        owner, _, attribute = name.partition(".")
        owners = (
            [by_name[owner]] if owner in by_name else [vars(m)[owner] for m in modules if owner in vars(m)]
        )
        assert owners, name
        assert any(hasattr(each, attribute) or attribute in dir(each) for each in owners), name


def theory_files() -> list[Path]:
    return [file for file in (ROOT / "theory").rglob("*.py") if file.name != "__init__.py"]


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT / "theory").with_suffix("").parts)


def theory_rows() -> list[str]:
    """First columns of the page's table of functions."""
    table = (ROOT / "docs" / "theory.md").read_text().partition("## Functions")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)


def test_a_missing_file_or_name_is_seen() -> None:
    """Negative control: what exists passes, what does not is named."""
    text = "`workers/gone.py` `workers/seeds.py` `test_gone.py` `gone.yaml` `demo.yaml` `and/or`"
    assert sorted(missing_files(text)) == ["gone.yaml", "test_gone.py", "workers/gone.py"]
    names = "`widesweep.theory.spectrum` `widesweep.gone` `widesweep.theory.spectrum.gone`"
    assert sorted(missing_names(names)) == ["widesweep.gone", "widesweep.theory.spectrum.gone"]
