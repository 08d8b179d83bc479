"""κ_order of one output at initialisation, normalised by K^(order/2), against L/n: slope order/2 − 1."""

from __future__ import annotations

import numpy as np

from analysis.evidence import Evidence
from analysis.laws.finding import Finding
from analysis.laws.network_pairs import pairs_of
from analysis.laws.ratio_law import EXACT, RatioLaw

READS = ("initialization/cumulant", "theory/cumulant_predicted")  # in the store; the law's reference says so


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each order that was measured.

    >>> import xarray as xr
    >>> find(Evidence({}, None, None, None, xr.Dataset()))
    []
    """
    group = evidence.initialization
    if group is None or "cumulant" not in group or "cumulant_predicted" not in evidence.theory:
        return []
    return [_find(evidence, int(order)) for order in group["order"].values if int(order) > 2]


def _find(evidence: Evidence, order: int) -> Finding:
    group, expected = evidence.initialization, order / 2 - 1
    assert group is not None
    law = RatioLaw(
        name=f"cumulant_{order}",
        title=f"κ{order} of an output grows like {'L/n' if expected == 1 else '(L/n)' + _power(expected)}",
        expected=expected,
        y_label=rf"$|\kappa_{{{order}}}|\, /\, K^{{{order // 2}}}$",
        variable="cumulant",
        predicted="cumulant_predicted",
    )
    one = group.sel(order=order)
    predicted = evidence.theory["cumulant_predicted"].sel(order=order)
    pairs = pairs_of(group, one["cumulant"], one["cumulant_standard_error"], predicted)
    kind = str(evidence.theory["cumulant_predicted"].attrs.get("approximation", EXACT))
    draws = float(np.nanmax(group["draws"].values)) if "draws" in group else 0.0
    return law.of_pairs(pairs, kind, draws)


def _power(exponent: float) -> str:
    """A small exponent as superscript; nothing for 1."""
    return "" if exponent == 1 else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in f"{exponent:.0f}")
