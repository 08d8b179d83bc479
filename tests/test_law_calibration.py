"""The calibration on real networks counts what its table says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.law_calibration import BEGIN, END, PAGE, Row, rows, table, written
from widesweep.analysis.fitting.fit import Estimate
from widesweep.analysis.laws.kinds.law_result import LawResult, not_applicable


def result(value: float, half: float, verdict: str) -> LawResult:
    estimate = Estimate(value, half / 1.96, value - half, value + half, 10.0)
    return LawResult("a", "a", estimate, 0.0, -0.1, 0.1, 1.0, 8, verdict, "")


def test_shares_are_those_of_the_repeats() -> None:
    """Of four intervals three hold their mean; one verdict is wrong; half of the control is caught."""
    own = [[result(v, 0.5, k)] for v, k in ((0.1, "consistent"), (0.2, "consistent"), (0.4, "inconclusive"))]
    own.append([result(-0.7, 0.5, "inconsistent")])
    control = [[result(1.0, 0.1, "inconsistent")], [result(0.0, 0.1, "consistent")]]
    (row,) = rows("ntk", own, control)
    assert row == Row("a", "ntk", 4, pytest.approx(0.75), 0.25, 0.25, 0.5)


def test_a_law_that_does_not_apply_has_no_row_and_no_control() -> None:
    """Under its own claim it has no row; where the control has none, its power is none."""
    silent = [[not_applicable("a", "a", "why")]]
    assert rows("mup", silent, silent) == []
    (row,) = rows("mup", [[result(0.0, 0.1, "consistent")]], silent)
    assert np.isnan(row.power)
    assert table([row], 1).endswith("| none |")


def test_the_page_takes_the_table_between_its_marks() -> None:
    """All else of the page stays as it is."""
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    assert written("new", page) == f"{before}{BEGIN}\n\nnew\n\n{END}{after}"
