"""The report is one page that needs no network and trusts no text of the store."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.report import write as write_report
from tests.analysis.synthetic import SyntheticSweep, write

HOSTILE = '<script>alert("x")</script> & "quotes"'
SWEEP = SyntheticSweep(
    depths=(1,),
    seeds=3,
    modes=3,
    orders=(4,),
    layers=False,
    name=HOSTILE,
    states={(0, 0, 0, 0): 3, (1, 0, 0, 1): 2},
)


class Page(HTMLParser):
    """Tags in order, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(write(folder / "demo.zarr", SWEEP))


def test_the_page_lies_beside_the_store(page: Path) -> None:
    """demo.zarr has its report in demo-report/index.html."""
    assert page.parts[-2:] == ("demo-report", "index.html")


def test_nothing_is_fetched(page: Path) -> None:
    """No script, no stylesheet, no image but inline ones; links go to figures beside the page."""
    for tag, attributes in Page(page.read_text()).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        assert (attributes.get("src") or "data:").startswith("data:")
        href = attributes.get("href") or "#"
        assert href.startswith("#") or (page.parent / href).is_file()
    assert "url(" not in page.read_text()


def test_text_of_the_store_is_escaped(page: Path) -> None:
    """A hostile name, host and config arrive as text."""
    text = page.read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;host" in text


def test_every_law_has_its_figure_in_three_forms(page: Path) -> None:
    """In the page, as PNG and as PDF; in the table before all figures."""
    text = page.read_text()
    names = re.findall(r'<h2 id="([a-z_0-9]+)">', text)
    laws = [n for n in names if n not in ("verdicts", "faults", "provenance")]
    assert {"convergence_rate", "weight_drift", "kernel_drift", "cumulant_4"} <= set(laws)
    for name in laws:
        assert (page.parent / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (page.parent / f"{name}.pdf").read_bytes()[:4] == b"%PDF"
    assert text.count("<img") == len(laws)
    assert text.index("<table") < text.index("<img")


def test_faults_and_themes_are_there(page: Path) -> None:
    """Cells without a result are listed; both themes are styled."""
    text = page.read_text()
    assert "failed" in text
    assert "diverged" in text
    assert "prefers-color-scheme: dark" in text


def test_a_report_can_go_elsewhere_and_is_the_same_twice(tmp_path: Path) -> None:
    """Two reports of one store are equal to the last byte, figures included."""
    store = write(tmp_path / "s.zarr", replace(SWEEP, training=False))
    first, second = (write_report(store, tmp_path / folder) for folder in ("one", "two"))
    for path in first.parent.iterdir():
        assert path.read_bytes() == (second.parent / path.name).read_bytes(), path.name
