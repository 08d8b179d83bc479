"""The points of a law's figure as rows of a table: what each is of, its value, its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.analysis.laws.kinds.law_result import Plot, Series
from widesweep.analysis.report.figures import MANY_POINTS


@dataclass(frozen=True)
class PointRow:
    """One point: the series it is drawn in, and its cells of the table, as text."""

    series: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class PointTable:
    """All points that are listed.

    Attributes:
        columns: heads of the table.
        rows: series by series, each in the order in which its points are drawn.
        unlisted: points of series that are left out for their number.
    """

    columns: tuple[str, ...]
    rows: tuple[PointRow, ...]
    unlisted: int


def table(plot: Plot) -> PointTable:
    """The points behind a figure, whole series while at most `MANY_POINTS` are listed.

    >>> one = np.ones(1)
    >>> made = table(Plot("x", "y", (Series("", one, 2 * one, one, 3 * one, of=(("width", 64 * one),)),)))
    >>> made.columns, made.rows[0].texts
    (('width', 'x', 'y', '95 % interval'), ('64', '1', '2', '1 to 3'))
    """
    names = tuple(dict.fromkeys(name for series in plot.series for name, _ in series.of))
    along = next((name for name in names if all(_is_x(s, name) for s in plot.series)), None)
    bars = any((s.low < s.high).any() for s in plot.series)
    columns = (*names, *(() if along else ("x",)), "y", *(("95 % interval",) if bars else ()))
    rows: list[PointRow] = []
    unlisted = 0
    for place, series in enumerate(plot.series):
        if len(rows) + len(series.x) > MANY_POINTS:
            unlisted += len(series.x)
            continue
        for i in range(len(series.x)):
            rows.append(PointRow(place, _texts(series, i, names, x=along is None, bars=bars)))
    return PointTable(columns, tuple(rows), unlisted)


def _is_x(series: Series, name: str) -> bool:
    """Whether that coordinate is what the figure has along x."""
    return np.array_equal(dict(series.of).get(name, np.zeros(0)), series.x)


def _texts(series: Series, point: int, names: tuple[str, ...], *, x: bool, bars: bool) -> tuple[str, ...]:
    known = dict(series.of)
    texts = [_text(float(known[name][point])) if name in known else "" for name in names]
    texts += [_text(float(series.x[point]))] if x else []
    texts.append(_text(float(series.y[point])))
    low, high = float(series.low[point]), float(series.high[point])
    if bars:
        texts.append(f"{_text(low)} to {_text(high)}" if low < high else "")
    return tuple(texts)


def _text(value: float) -> str:
    return "∞" if np.isposinf(value) else f"{value:.4g}" if value != round(value) else f"{value:.0f}"
