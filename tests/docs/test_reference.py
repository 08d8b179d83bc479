"""The generated reference is complete: config keys, variables of a store, laws, commands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from docs.generate import config_page, everything, law_page, pages, store_page
from tests.docs.blocks import ROOT
from widesweep.analysis import laws
from widesweep.analysis.laws import Law
from widesweep.pipeline.cli import app
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.random_networks import STATISTICS
from widesweep.workers.variable import Variable


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that an annotation reaches, models inside models too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for each in get_args(annotation):
        yield from models(each)


def rows(page: str) -> dict[str, list[str]]:
    """Cells of each table row, by the name in its first."""
    lines = re.findall(r"^\| `(.+?)` \|(.*)\|$", page, re.MULTILINE)
    return {name: [cell.strip() for cell in re.split(r"(?<!\\)\|", rest)] for name, rest in lines}


def test_every_config_key_is_there_with_its_meaning() -> None:
    """Models are walked here in another way than the page does; each key has a type, a default, a meaning."""
    page = config_page.page()
    shown = rows(page)
    for model in set(models(SweepConfig)):
        for key in model.model_fields:
            if key in shown:
                assert all(shown[key]), f"{model.__name__}.{key}: {shown[key]}"
            else:  # a section, or what tells kinds apart, or a value's own shape
                places = (f"## `{key}`", f"`{key}: ", f"{{{key}: ", f", {key}: ")
                assert any(place in page for place in places), key
    for model in set(models(SweepConfig)):
        kind = model.model_fields.get("kind") or model.model_fields.get("optimizer")
        if kind and isinstance(kind.default, str):
            assert f": {kind.default}`" in page


def test_no_key_is_without_meaning() -> None:
    """A row whose meaning is empty would say so: an added key needs a line under `Attributes:`."""
    page = config_page.page()
    for line in page.splitlines():
        if line.startswith("| `"):
            assert not line.endswith("|  |"), line


def test_every_variable_of_a_store_is_there() -> None:
    """Those of a template that measures everything, and those of the lists, with dimensions and units."""
    page = store_page.page()
    shown = rows(page)
    for group, dataset in store_page.groups().items():
        assert f"## `/{group}`" in page
        for name in {*map(str, dataset.data_vars), *map(str, dataset.coords)}:
            assert all(shown[name]), f"{group}: {name}"
    listed = [*MEASUREMENTS.values(), *STATISTICS.values()]
    names = [v.name for each in listed for v in each.variables]
    assert len(names) > 40
    assert set(names) <= set(shown)
    assert set(names) <= {str(n) for d in store_page.groups().values() for n in d.data_vars}


def test_a_group_that_a_store_has_is_described() -> None:
    """A new group of the template needs a sentence in the reference."""
    assert set(everything.template().children) <= set(store_page.GROUPS)


@pytest.mark.parametrize("law", law_page.ALL, ids=lambda law: next(law_page.entries(law)).name)
def test_every_law_is_there_with_its_variables_and_expectation(law: Law) -> None:
    """What it looks at is in the store: the form of the law says what, or `READS` beside a function."""
    shown = rows(law_page.page())
    groups = store_page.groups()
    for name in law_page.reads(law):
        group, _, variable = name.partition("/")
        assert variable in groups[group], name
    entries = list(law_page.entries(law))
    assert entries
    for entry in entries:
        _, looks_at, regime, slope = shown[entry.name]
        assert looks_at
        assert regime
        assert re.fullmatch(r"-?[\d.]+( to -?[\d.]+| or more| or less)?", slope)


def test_every_finding_of_a_sweep_has_its_row() -> None:
    """The second route: names and slopes as `find_all` gives them, on a sweep in which nothing ran."""
    page = law_page.page()
    findings = laws.find_all(everything.summary())
    assert len(findings) > 10
    for finding in findings:
        row = next(line for line in page.splitlines() if finding.name in line and finding.title in line)
        ends = [float(end) for end in re.findall(r"-?[\d.]+", row.split("|")[-2])]
        assert min(ends) <= finding.expected <= max(ends)
    assert {module.__name__ for module in map(law_page.module, law_page.ALL)} <= set(sys.modules)


def test_every_command_and_option_is_there() -> None:
    """Options are read off `--help` here, which the page does not use."""
    from typer.testing import CliRunner

    page = pages.page("commands")
    top = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for name in top - {"submit"}:
        section = page.partition(f"## `widesweep {name}`")[2].partition("\n## ")[0]
        helped = CliRunner().invoke(app, [name, "--help"]).stdout
        for option in set(re.findall(r"--[a-z][\w-]*", helped)) - {"--help"}:
            assert f"`{option}" in section, f"{name} {option}"


def test_every_config_that_ships_is_shown() -> None:
    """The whole file, and its comment as a sentence."""
    page = pages.page("sweeps")
    for file in (ROOT / "configs").glob("*.yaml"):
        assert f"## `{file.name}`" in page
        assert file.read_text().splitlines()[-1] in page


def test_each_mark_in_a_page_names_something() -> None:
    """What is generated is asked for by name."""
    for page in (ROOT / "docs").rglob("*.md"):
        for mark in re.findall(r"<!-- generated: (.+?) -->", page.read_text()):
            assert pages.page(*mark.split())


def test_every_notebook_has_its_page() -> None:
    """A notebook without a page would not be found on the site."""
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        page = ROOT / "docs" / "notebooks" / f"{notebook.stem}.md"
        assert page.read_text() == f"<!-- generated: notebook {notebook.stem} -->\n"
        assert f"\n{notebook.stem}\n" in (ROOT / "docs" / "notebooks" / "index.md").read_text()


def test_a_variable_without_a_row_would_be_seen() -> None:
    """Negative control: the page's rows are names, not words that happen to stand somewhere."""
    assert "loss" in rows(store_page.page())
    assert "summed" not in rows(store_page.page())
    assert isinstance(Variable("loss", (), ""), Variable)


def test_a_plots_label_fits_on_one_line() -> None:
    """Xarray breaks `long_name [units]` at 30 characters; the formula is in `description`."""
    for name, group in store_page.groups().items():
        for variable, array in group.variables.items():
            label = f"{array.attrs['long_name']} [{array.attrs['units']}]"
            assert len(label) <= 30, f"{name}/{variable}: {label}"
            assert array.attrs["description"], f"{name}/{variable}"
