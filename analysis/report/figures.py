"""A law's figure: data with 95 % bars, the theory's line, the fitted slope with its interval."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter

from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Series
from widesweep.analysis.report import expectation
from widesweep.analysis.report.legend import MUTED, Style, columns, entries, styles

COLUMN_INCHES = (3.5, 3.1)
EMPTY_INCHES = (3.5, 0.8)  # where there is nothing to show
DOTS_PER_INCH = 300
MANY_POINTS = 1500
STYLE = mpl.rc_params_from_file(Path(__file__).with_name("figures.mplstyle"), use_default_template=False)
INK: str = STYLE["text.color"]


def draw(finding: LawResult) -> Figure:
    """The figure of a law result, one journal column wide, on white.

    In SVG, series i is the group `series-i` with its bars in `bars-i` and `caps-i…`, one element a point in
    the points' order, and the fit of a depth the group `fit-<depth>`.

    >>> from widesweep.analysis.laws.kinds.law_result import undecided
    >>> draw(undecided("weight_drift", "drift", -0.5, "No cell is done.")).get_size_inches()
    array([3.5, 0.8])
    """
    with styled():
        plot = finding.plot
        figure = Figure(figsize=COLUMN_INCHES if plot.series else EMPTY_INCHES, layout="constrained")
        axes = figure.add_subplot()
        if not plot.series:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "nothing to show yet", ha="center", va="center", color=MUTED)
            return figure
        axes.set_xscale("log")
        axes.set_yscale("log")
        style = styles(sorted({s.depth for s in plot.series}))
        for curve in plot.curves:
            _curve(axes, curve, style)
        for i, series in enumerate(plot.series):
            _series(axes, i, series, style[series.depth])
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        _ticks(axes, list(plot.series))
        axes.set_title(_headline(finding), loc="left", fontsize=7.2, color=INK)
        shown = entries(axes, plot.series, style)
        figure.legend(
            list(shown.values()), list(shown), loc="outside lower center", ncols=columns(list(shown)),
            handlelength=1.8, columnspacing=1.2,
        )  # fmt: skip
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
        figure.set_layout_engine("none")  # laid out once, not anew for every format
        return figure


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the figure as PNG (300 dots per inch) and PDF; the same figure gives the same bytes.

    >>> png, pdf = save(Figure(figsize=(1, 1)), tmp_path, "empty")
    >>> png.read_bytes()[1:4], pdf.read_bytes()[1:4]
    (b'PNG', b'PDF')
    """
    png, pdf = folder / f"{name}.png", folder / f"{name}.pdf"
    with styled():
        figure.savefig(png, dpi=DOTS_PER_INCH, metadata={"Software": None})
        figure.savefig(pdf, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    return png, pdf


def as_svg(figure: Figure) -> str:
    """The figure as the text of an SVG file, letters as paths; the same figure gives the same text.

    >>> "<svg" in as_svg(Figure()), as_svg(Figure()) == as_svg(Figure())
    (True, True)
    """
    with styled():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode("utf-8")


@contextmanager
def styled() -> Iterator[None]:
    """The look of every figure, for as long as the block lasts, whatever the user's matplotlibrc says.

    >>> with styled():
    ...     mpl.rcParams["font.size"]
    7.5
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def _series(axes: Axes, place: int, series: Series, style: Style) -> None:
    """Points with bars, in their depth's colour and marker."""
    colour, marker = style
    bars = np.stack([series.y - series.low, series.high - series.y]).clip(min=0)
    crowd = len(series.x) > 40
    points, caps, lines = axes.errorbar(
        series.x * series.shift,
        series.y,
        yerr=bars if bars.any() else None,
        fmt=marker,
        color=colour,
        markersize=2.6 if crowd else 4.0 if not series.hollow else 3.4,
        markerfacecolor="white" if series.hollow else colour,
        markeredgewidth=0.55 if crowd else 0.8,
        alpha=0.85 if crowd else 1.0,
        elinewidth=0.8,
        capsize=1.8,
        capthick=0.8,
        linestyle="none",
        label=series.label,
        rasterized=len(series.x) > MANY_POINTS,
        zorder=3 if series.hollow else 4,
    ).lines
    points.set_gid(f"series-{place}")
    for i, cap in enumerate(caps):
        cap.set_gid(f"caps-{place}-{i}")
    for line in lines:
        line.set_gid(f"bars-{place}")


def _curve(axes: Axes, curve: Curve, style: dict[int, Style]) -> None:
    """Theory dashed and dark, the fit solid in its depth's colour, a guide dotted."""
    colour = INK
    if curve.kind == "fit":
        colour = style[curve.depth][0] if curve.depth in style else MUTED
    line_style = {"theory": (0, (5, 2)), "guide": (0, (1, 1.6)), "fit": "-"}[curve.kind]
    axes.plot(
        curve.x,
        curve.y,
        linestyle=line_style,
        color=MUTED if curve.kind == "guide" else colour,
        linewidth=0.9 if curve.kind == "fit" else 1.1,
        alpha=0.7 if curve.kind == "fit" else 1.0,
        label=curve.label or None,
        zorder=2 if curve.kind == "fit" else 1.5,
        gid=f"fit-{curve.depth}" if curve.kind == "fit" else None,
    )


def _ticks(axes: Axes, series: list[Series]) -> None:
    """Label widths themselves where there are few; plain numbers where an axis spans less than a decade."""
    x = np.unique(np.concatenate([s.x for s in series]))
    if len(x) <= 8 and np.allclose(x, np.rint(x)):
        axes.set_xticks(x, [f"{v:g}" for v in x])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", length=0)
        axes.set_xlim(0.82 * x.min(), 1.22 * x.max())
    for axis in (axes.xaxis, axes.yaxis):
        if axis is axes.xaxis and len(x) <= 8 and np.allclose(x, np.rint(x)):
            continue
        low, high = sorted(axis.get_view_interval())
        decades = np.log10(high / low)
        if decades < 1.9:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades > 0.5 else tuple(range(1, 10))))
            axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.3g}"))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_formatter(LogFormatterSciNotation())
            axis.set_minor_formatter(NullFormatter())


def _headline(finding: LawResult) -> str:
    """Slope, interval, expectation and verdict in one line."""
    estimate = finding.estimate
    if not np.isfinite(estimate.value):
        return finding.verdict.replace("_", " ")
    limit = expectation.limit(finding.expected, finding.expected_low, finding.expected_high)
    theory = f"theory {limit}" if np.isfinite(finding.expected) else "no exponent expected"
    interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if np.isfinite(estimate.low) else ""
    text = f"slope {estimate.value:.2f}{interval}, {theory}"
    return f"{text}: {finding.verdict}".replace("-", "−")
