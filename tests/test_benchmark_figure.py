"""The picture of the benchmarks: what meets its goal and what misses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from benchmarks.figure import MET, MISSED, draw, write
from benchmarks.rows import Row

MORE = Row("a sweep", "a loop", (18.0, 20.0, 19.0), "≥ 8")
LESS = Row("a kernel", "none", (1.05, 1.2, 1.08), "≤ 1.10")
SLOW = Row("a kernel", "a peer", (1.5, 1.6, 1.4), "≥ 40")
NO_GOAL = Row("steps", "a limit", (0.5,), "—")


def test_goals_of_both_kinds_are_met_on_the_right() -> None:
    """Medians over goals, or goals over them; 1.5 for 40 is missed; a row without a goal is left out."""
    axes = draw([MORE, LESS, NO_GOAL, SLOW]).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx([19 / 8, 1.1 / 1.08, 1.5 / 40])
    assert [to_hex(dot.get_color()) for dot in dots] == [MET.lower(), MET.lower(), MISSED.lower()]
    assert [text.get_text() for text in axes.texts] == ["19.00 (≥ 8)", "1.08 (≤ 1.10)", "1.50 (≥ 40)"]


def test_nothing_to_show_is_no_picture(tmp_path: Path) -> None:
    for rows, shows in (([NO_GOAL], False), ([NO_GOAL, MORE], True)):
        write(rows, tmp_path / "results.png")
        assert (tmp_path / "results.png").exists() == shows
