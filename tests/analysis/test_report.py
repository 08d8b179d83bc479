"""The report is one page that needs no network and trusts no text of the store."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.analysis.synthetic import SyntheticSweep, write
from widesweep.analysis.report import figures
from widesweep.analysis.report.page import FOLDER, settle
from widesweep.analysis.report.page import write as write_report

HOSTILE = '<script>alert("x")</script> & "quotes" --> </style></title>'
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


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of few dots, which take most of a report's time."""
    monkeypatch.setattr(figures, "DOTS_PER_INCH", 30)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "DOTS_PER_INCH", 30)
        return write_report(write(folder / "demo.zarr", SWEEP))


def test_the_page_lies_beside_the_store(page: Path) -> None:
    """demo.zarr has its report in demo-report/index.html."""
    assert page.parts[-2:] == ("demo-report", "index.html")


def test_nothing_is_fetched(page: Path) -> None:
    """No stylesheet, script or image but inline ones; links go to figures beside the page."""
    for tag, attributes in Page(page.read_text()).tags:
        assert tag not in ("link", "iframe", "object", "embed")
        assert (attributes.get("src") or "data:").startswith("data:")
        assert attributes.get("xlink:href", "#").startswith(("#", "data:"))  # type: ignore[union-attr]
        href = attributes.get("href") or "#"
        assert href.startswith("#") or (page.parent / href).is_file()
    assert not re.search(r"url\((?!#)|@import", page.read_text())


def test_the_browser_is_told_to_run_our_script_alone(page: Path) -> None:
    """One script, word for word ours, whose digest is all that the page's policy lets run."""
    (script,) = re.findall(r"<script>(.*?)</script>", page.read_text(), re.DOTALL)
    assert script == (FOLDER / "page.js").read_text()
    policy = next(t["content"] for tag, t in Page(page.read_text()).tags if "http-equiv" in t)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in policy
    )


def test_ids_are_told_apart(page: Path) -> None:
    """The figures stand in one page: no id of theirs is there twice, none refers to nothing."""
    attributes = [attributes for _, attributes in Page(page.read_text()).tags]
    ids = [a["id"] for a in attributes if "id" in a]
    of_points = [i for i in ids if "-series-" in str(i)]
    assert len(of_points) == len(set(of_points)) > 0
    requested = {str(a["xlink:href"])[1:] for a in attributes if str(a.get("xlink:href")).startswith("#")}
    assert requested <= {str(i) for i in ids}
    assert set(re.findall(r"url\(#([^)]+)\)", page.read_text())) <= {str(i) for i in ids}


def test_text_of_the_store_is_escaped(page: Path) -> None:
    """A hostile name, host and config arrive as text."""
    text = page.read_text()
    assert HOSTILE not in text
    assert [tag for tag, _ in Page(text).tags].count("script") == 1
    assert "<title>&lt;script&gt;" in text
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
    assert text.count("<svg") == len(laws) + len(("all_laws", "training_curves", "grid_maps"))
    assert text.index("<table") < text.index("data-law=")


def test_the_points_of_a_figure_are_listed(page: Path) -> None:
    """weight_drift: four widths at two learning rates, with the seeds behind each mean."""
    section = page.read_text().partition('data-law="weight_drift"')[2].partition("</section>")[0]
    heads = re.findall(r'<th class="number">(.*?)</th>', section)
    assert heads == ["width", "depth", "η", "seeds", "y", "95 % interval"]
    rows = [re.findall(r">([^<]*)</td>", row) for row in re.findall(r"<tr data-series=.*", section)]
    assert [row[:4] for row in rows] == [
        [str(width), "1", eta, seeds]
        for eta, lost in (("0.5", "64"), ("1", "128"))
        for width, seeds in ((w, "2" if str(w) == lost else "3") for w in (64, 128, 256, 512))
    ]
    assert all(
        float(row[5].split(" to ")[0]) < float(row[4]) < float(row[5].split(" to ")[1]) for row in rows
    )


def test_a_page_that_refreshes_itself_can_be_settled(tmp_path: Path) -> None:
    """While watched it says so, once; settled, it is the page that was never watched."""
    store = write(tmp_path / "s.zarr", replace(SWEEP, training=False))
    still = write_report(store, tmp_path / "one").read_text()
    watched = write_report(store, tmp_path / "two", refresh_s=7)
    assert watched.read_text().count('<meta http-equiv="refresh" content="7">') == 1
    settle(watched)
    assert watched.read_text() == still


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
