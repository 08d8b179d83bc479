"""Figures of laws with many series stay within their column, and tell their series apart."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from widesweep.analysis.fitting.fit import Estimate
from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge
from widesweep.analysis.report import expectation, figures, point_table, text_table
from widesweep.analysis.report.inline_svg import inline_svg

X = np.array([64.0, 128.0, 256.0])
ESTIMATE = Estimate(-0.5, 0.02, -0.54, -0.46, 20.0)


def finding(plot: Plot, low: float = -0.6, high: float = -0.4, expected: float = -0.5) -> LawResult:
    return LawResult("a_law", "A law", ESTIMATE, expected, low, high, 0.99, 9, "consistent", "", plot)


def grid(depths: int, widths: int, rates: int) -> Plot:
    """One series for each depth, width and rate, labelled as the laws do."""
    series = [
        Series(f"depth {d + 1}, m = {2 ** (w + 4)}, η = {0.25 * (r + 1):g}", X, (d + w + r + 1) / X,
               0.9 * (d + w + r + 1) / X, 1.1 * (d + w + r + 1) / X, d + 1, r % 2 == 1)
        for d, w, r in itertools.product(range(depths), range(widths), range(rates))
    ]  # fmt: skip
    return Plot("x", "y", tuple(series), (Curve("theory: slope −1", X, 1 / X),))


def drawn(plot: Plot) -> Figure:
    figure = figures.draw(finding(plot))
    FigureCanvasAgg(figure).draw()
    return figure


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 3, 2), (12, 2, 1), (4, 4, 3)])
def test_the_legend_stays_on_the_page_and_leaves_room(shape: tuple[int, int, int]) -> None:
    """Up to 48 series: the legend lies within the figure, and the axes keep more than half its height."""
    figure = drawn(grid(*shape))
    legend, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= legend.x0 < legend.x1 <= page.x1
    assert page.y0 <= legend.y0
    assert figure.axes[0].get_position().height > 0.5


def test_many_series_are_told_by_what_they_share() -> None:
    """Colour by depth; hollow is the second rate; widths as a range."""
    assert legend_texts(drawn(grid(2, 4, 2))) == [
        "depth 1", "depth 2", "m = 16 … 128 (4)", "η = 0.25", "η = 0.5", "theory: slope −1",
    ]  # fmt: skip


def test_few_series_keep_an_entry_each() -> None:
    """Two rates at two depths: their labels, as they are."""
    assert [t for t in legend_texts(drawn(grid(2, 1, 2))) if "depth" in t] == [
        f"depth {d}, m = 16, η = {r}" for d in (1, 2) for r in ("0.25", "0.5")
    ]


def test_more_depths_than_colours_have_a_colour_each() -> None:
    """Twelve depths: twelve colours, six of them in the legend, the first and the last among these."""
    figure = drawn(grid(12, 1, 1))
    points = [line for line in figure.axes[0].lines if str(line.get_gid()).startswith("series-")]
    assert len({str(line.get_color()) for line in points}) == 12
    depths = [t for t in legend_texts(figure) if t.startswith("depth")]
    assert (len(depths), depths[0], depths[-1]) == (6, "depth 1", "depth 12")


@pytest.mark.parametrize(
    ("low", "high", "text", "table"),
    [
        (0.95, np.inf, "theory ≥ 1:", "≥ 1 (≥ 0.95)"),
        (-np.inf, 1.05, "theory ≤ 1:", "≤ 1 (≤ 1.05)"),
        (0.95, 1.05, "theory 1:", "1 (0.95 to 1.05)"),
        (1.0, 1.0, "theory 1:", "1"),
    ],
)
def test_a_bound_on_one_side_is_shown_as_a_bound(low: float, high: float, text: str, table: str) -> None:
    """In the figure's headline and in the table of `analyze`, from the numbers that JSON has."""
    figure = figures.draw(finding(grid(1, 1, 1), low, high, 1.0))
    assert text in figure.axes[0].get_title(loc="left")
    ends = {"expected_low": low, "expected_high": high}
    law = {"slope": 1.0, "slope_low": 0.9, "slope_high": 1.1, "expected": 1.0, "verdict": "v", "points": 3}
    law |= {key: end if np.isfinite(end) else None for key, end in ends.items()}
    assert f"  {table}  " in text_table.table({"a_law": law})
    assert expectation.limit(1.0, low, high) == table.partition(" (")[0]


def test_the_power_of_a_bound_names_its_one_side() -> None:
    """No slope is above infinity."""
    assert judge(ESTIMATE, -0.5, np.inf)[1] == "A slope below -0.54 would be seen to differ."
    assert judge(ESTIMATE, -np.inf, -0.5)[1] == "A slope above -0.46 would be seen to differ."


def test_one_element_is_drawn_for_every_point() -> None:
    """The page finds marker, bar and caps of point i as the i-th elements of its series' groups."""
    svg = str(inline_svg(figures.draw(finding(grid(2, 1, 2))), "a_law", "words"))
    for place in range(4):
        for group, tag in (("series", "use"), ("bars", "path d"), ("caps", "use")):
            name = f"{group}-{place}" + ("-0" if group == "caps" else "")
            inside = svg.partition(f'id="a_law-{name}"')[2].partition("\n   <g id=")[0]
            assert inside.partition("</defs>")[2 if "</defs>" in inside else 0].count(f"<{tag}") == 3


def test_a_crowd_is_not_listed() -> None:
    """Series that would make the list longer than 1,500 points are counted instead."""
    many, few = np.full(1600, 2.0), np.full(5, 2.0)
    crowd = Plot("x", "y", tuple(Series("", x, x, x, x, of=(("seed", x),)) for x in (many, few)))
    made = point_table.table(crowd)
    assert (len(made.rows), made.unlisted, made.rows[0].series) == (5, 1600, 1)


@pytest.mark.filterwarnings("error")
def test_the_users_own_matplotlib_settings_change_nothing() -> None:
    """A matplotlibrc with TeX, other lines and another font gives the same picture to the byte."""
    plain = figures.as_svg(figures.draw(finding(grid(2, 2, 1))))
    theirs = {"text.usetex": True, "lines.linewidth": 9.0, "axes.grid": True, "font.family": "serif"}
    with mpl.rc_context(theirs):
        assert figures.as_svg(figures.draw(finding(grid(2, 2, 1)))) == plain
        assert mpl.rcParams["lines.linewidth"] == 9.0
