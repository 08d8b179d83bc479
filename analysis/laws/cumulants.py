"""κ_order of one output at initialisation, normalised by K^(order/2), against L/n: slope order/2 − 1."""

from __future__ import annotations

import numpy as np

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.network_pairs import Array, Pairs, pairs_of
from widesweep.analysis.laws.kinds.ratio_law import EXACT, VARIANCE, RatioLaw, draws_of, fewest_draws
from widesweep.analysis.laws.kinds.regime import AT_START, Regime
from widesweep.analysis.reading.cell_summary import CellSummary

READS = ("initialization/cumulant", "theory/cumulant_predicted")  # in the store; the law's reference says so
REGIME = Regime((AT_START,))


def find(summary: CellSummary) -> list[LawResult]:
    """One finding for each order that was measured.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    return [law.of_pairs(found, kind, fewest_draws(summary)) for law, found, kind in pairs(summary)]


def _variance(summary: CellSummary, found: Pairs) -> Array:
    """Var(q)/E[q]² of each pair: a third of κ4/K² where that is predicted, else ReLU's."""
    predicted = summary.theory["cumulant_predicted"]
    if 4 not in predicted["order"].values:
        return np.expm1(VARIANCE * found.ratio)
    fourth = predicted.sel(order=4).transpose("width", "depth").values.ravel()
    return np.asarray(np.maximum(fourth, 0.0) / 3.0, dtype=np.float64)


def pairs(summary: CellSummary) -> list[tuple[RatioLaw, Pairs, str]]:
    """Of each order that was measured its law, its pairs, and how their prediction was made."""
    group = summary.initialization
    if group is None or "cumulant" not in group or "cumulant_predicted" not in summary.theory:
        return []
    return [_pairs(summary, int(order)) for order in group["order"].values if int(order) > 2]


def _pairs(summary: CellSummary, order: int) -> tuple[RatioLaw, Pairs, str]:
    group, expected = summary.initialization, order / 2 - 1
    assert group is not None
    law = RatioLaw(
        name=f"cumulant_{order}",
        title=f"κ{order} of an output grows like {'L/n' if expected == 1 else '(L/n)' + _power(expected)}",
        expected=expected,
        y_label=rf"$|\kappa_{{{order}}}|\, /\, K^{{{order // 2}}}$",
        variable="cumulant",
        predicted="cumulant_predicted",
    )
    one, predicted = group.sel(order=order), summary.theory["cumulant_predicted"]
    found = pairs_of(group, one["cumulant"], one["cumulant_standard_error"], predicted.sel(order=order))
    if order <= 8:
        found = found.sampled(order // 2, _variance(summary, found), draws_of(group))
    return law, found, str(predicted.attrs.get("approximation", EXACT))


def _power(exponent: float) -> str:
    """A small exponent as superscript; nothing for 1."""
    return "" if exponent == 1 else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in f"{exponent:.0f}")
