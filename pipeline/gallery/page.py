"""The gallery as files: one page for each result, one for all, and ours against the paper's in one figure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from widesweep.analysis.laws.kinds.law_result import BROKEN, HOLDS, VACUOUS
from widesweep.analysis.report import comparison, figures
from widesweep.analysis.report.inline_svg import inline_svg
from widesweep.analysis.report.page import FOLDER as REPORT
from widesweep.analysis.report.page import template
from widesweep.pipeline.gallery.reproduction import Number, Reproduction

FOLDER = Path(__file__).parent
BOUND = (HOLDS, BROKEN, VACUOUS)


@dataclass(frozen=True)
class Line:
    """A number as a table shows it."""

    law: str
    paper: str
    slope: str
    interval: str
    allowed: str
    distance: str
    verdict: str


def write(found: Sequence[Reproduction], folder: Path) -> Path:
    """Write `<name>.html`, `<name>.json` and its figures for each result, and `index.html` with all of them.

    Args:
        found: the results.
        folder: of the pages; made where it is missing.

    Returns:
        The page of the only result, or the index of several.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_write_one(one, folder) for one in found]
    if len(found) == 1:
        return paths[0]
    figures.save(comparison.draw(rows(found)), folder, "comparison")
    index = folder / "index.html"
    index.write_text(
        template(FOLDER, "gallery.html.j2").render(found=found, style=_style()), encoding="utf-8"
    )
    return index


def rows(found: Sequence[Reproduction]) -> list[comparison.Row]:
    """Every claim's distance, each followed by its control's; a bound has no standard error to count in."""
    made = []
    for one in found:
        controls = {number.law: number for number in one.control}
        for number in one.numbers:
            if number.verdict in BOUND:
                continue
            label = f"{one.entry.name}: {_name(number)}"
            made.append(comparison.Row(label, number.distance, False))
            if (control := controls.get(number.law)) is not None and number is _last(one, number.law):
                made.append(comparison.Row(f"{label}, control", control.distance, True))
    return made


def line(number: Number) -> Line:
    """A number in words, with typographic minus signs.

    >>> line(Number("drift", "", "", -0.5, -0.6, -0.4, -0.5, -0.5, -0.5, "consistent", "")).allowed
    '−0.500'
    """
    low, high = _text(number.expected_low), _text(number.expected_high)
    return Line(
        law=_name(number),
        paper=number.paper,
        slope=_text(number.slope),
        interval="least of all cells"
        if number.verdict in BOUND
        else f"{_text(number.low)} to {_text(number.high)}",
        allowed=low if low == high else f"{low} to {high}",
        distance="" if math.isnan(number.distance) else _text(number.distance, digits=1),
        verdict=number.verdict,
    )


def _last(one: Reproduction, law: str) -> Number:
    return [number for number in one.numbers if number.law == law][-1]


def _name(number: Number) -> str:
    return f"{number.law}, {number.run}" if number.run else number.law


def _text(value: float, digits: int = 3) -> str:
    return "no bound" if math.isinf(value) else f"{value:.{digits}f}".replace("-", "−")


def _write_one(one: Reproduction, folder: Path) -> Path:
    name = one.entry.name
    pictures = []
    for number, result in zip(one.numbers, one.results, strict=True):
        if not result.plot.series:
            continue  # a law of one number has nothing to draw
        figure = figures.draw(result)
        file = "-".join([name, number.law, *number.run.split()])
        figures.save(figure, folder, file)
        pictures.append(inline_svg(figure, file, f"{result.title}: {result.verdict}"))
    page = template(FOLDER, "entry.html.j2").render(
        one=one,
        entry=one.entry,
        style=_style(),
        config=one.entry.config.read_text(encoding="utf-8"),
        claims=[line(number) for number in one.numbers],
        control=[line(number) for number in one.control],
        pictures=pictures,
    )
    (folder / f"{name}.json").write_text(json.dumps(one.json_object(), indent=1), encoding="utf-8")
    path = folder / f"{name}.html"
    path.write_text(page, encoding="utf-8")
    return path


def _style() -> Markup:
    return Markup((REPORT / "page.css").read_text(encoding="utf-8"))
