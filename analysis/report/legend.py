"""The legend of a law's figure: every series while they are few and differ, else each way they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from widesweep.analysis.laws.kinds.law_result import Series

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)  # Okabe and Ito, colour-blind safe
MARKERS = ("o", "s", "^", "D", "v", "P")
MUTED = "#767676"
MOST_ENTRIES = 6  # beyond which series are told apart by what they share
LINE_CHARACTERS = 62  # of the legend's type on a journal column
HANDLE_CHARACTERS = 6

Style = tuple[str, str]  # colour, marker


def styles(depths: list[int]) -> dict[int, Style]:
    """Colour and marker of each depth: six that differ, or a scale from dark to light where there are more.

    >>> styles([1, 3])[3]
    ('#D55E00', 's')
    """
    if len(depths) <= len(COLOURS):
        return {depth: (COLOURS[i], MARKERS[i]) for i, depth in enumerate(depths)}
    scale = mpl.colormaps["viridis"](np.linspace(0.1, 0.85, len(depths)))
    return {d: (to_hex(scale[i]), MARKERS[i % len(MARKERS)]) for i, d in enumerate(depths)}


def entries(axes: Axes, series: tuple[Series, ...], style: Mapping[int, Style]) -> dict[str, Artist]:
    """What the legend says: label to handle.

    Args:
        axes: with everything drawn.
        series: what was drawn there.
        style: of each depth.

    >>> from matplotlib.figure import Figure
    >>> line, = (axes := Figure().add_subplot()).plot([1, 2], label="fit")
    >>> list(entries(axes, (), {}))
    ['fit']
    """
    handles, labels = axes.get_legend_handles_labels()
    everything = dict(zip(labels, handles, strict=True))
    alike = len({(each.depth, each.hollow) for each in series}) < len({each.label for each in series})
    if len(everything) <= MOST_ENTRIES and not alike:
        return everything
    own = {each.label for each in series}
    curves = {label: handle for label, handle in everything.items() if label not in own}
    return {**_by_depth(style), **_by_the_rest(series), **curves}


def columns(labels: list[str]) -> int:
    """As many columns as the longest label leaves room for, four at most.

    >>> columns(["depth 1", "depth 2"]), columns(["x" * 70])
    (2, 1)
    """
    longest = max((len(label) for label in labels), default=1)
    return max(1, min(4, len(labels), LINE_CHARACTERS // (longest + HANDLE_CHARACTERS)))


def _by_depth(style: Mapping[int, Style]) -> dict[str, Artist]:
    """One entry a depth; of many, some from the first to the last."""
    depths = list(style)
    if len(depths) < 2:
        return {}
    chosen = np.unique(np.linspace(0, len(depths) - 1, MOST_ENTRIES).round().astype(int))
    return {f"depth {depths[i]}": _point(*style[depths[i]]) for i in chosen}


def _by_the_rest(series: tuple[Series, ...]) -> dict[str, Artist]:
    """What filled and hollow mean where that is one value each; else what varies, from where to where."""
    found: dict[str, Artist] = {}
    filled, hollow = (_parts(each for each in series if each.hollow is kind) for kind in (False, True))
    for name in {**filled, **hollow}:
        full, empty = filled.get(name, []), hollow.get(name, [])
        if len(full) == len(empty) == 1 and full != empty:
            found[_named(name, full[0])] = _point(MUTED, "o")
            found[_named(name, empty[0])] = _point(MUTED, "o", hollow=True)
        elif len(every := list(dict.fromkeys(full + empty))) > 1:
            ends = sorted(every, key=_number)
            found[f"{_named(name, ends[0])} … {ends[-1]} ({len(every)})"] = Line2D([], [], linestyle="none")
    return found


def _parts(series: Iterable[Series]) -> dict[str, list[str]]:
    """Values by name in labels such as "depth 2, m = 64, η = 1", without the depth."""
    found: dict[str, list[str]] = {}
    for each in series:
        for part in each.label.split(", "):
            name, equals, value = part.rpartition(" = ")
            if not part.startswith("depth ") and value not in found.setdefault(name if equals else "", []):
                found[name if equals else ""].append(value)
    return found


def _number(text: str) -> float:
    try:
        return float(text.partition("/")[0])
    except ValueError:
        return 0.0


def _named(name: str, value: str) -> str:
    return f"{name} = {value}" if name else value


def _point(colour: str, marker: str, *, hollow: bool = False) -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=marker, color=colour, markersize=4.0, markeredgewidth=0.8,
        markerfacecolor="white" if hollow else colour,
    )  # fmt: skip
