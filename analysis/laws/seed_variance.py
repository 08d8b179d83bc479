"""Spread of trained networks' predictions over seeds: m^−½ under μP, and for centred lazy networks."""

from __future__ import annotations

from dataclasses import replace

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.regime import DRIFTING, MUP, NTK, STABLE, STANDARD, Regime, scaled, scaling
from widesweep.analysis.laws.kinds.width_law import WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

READS = ("training/test_prediction",)  # in the store; the law's reference says so
REGIME = Regime((scaled((NTK, STANDARD, MUP), ""), DRIFTING, STABLE))
NAME = "seed_variance"
LAZY, FALLS = "lazy", "falls"
EXPECTED = {FALLS: -0.5, LAZY: 0.0}
TITLES = {
    FALLS: "Under mup, or centred, networks of different seeds agree more closely as width grows, like 1/√m",
    LAZY: "Lazy networks of different seeds differ at every width as their random outputs at the start do",
}
FALLING = WidthLaw(
    name=NAME,
    title=TITLES[FALLS],
    variable="prediction_spread",
    y_label="spread over seeds of test predictions",
    expected=-0.5,
    allowed=(-0.5, -0.5),
    rivals=(0.0, -1.0),
    elsewhere={},
)
LASTING = replace(
    FALLING,
    title=TITLES[LAZY],
    expected=0.0,
    allowed=(0.0, 0.0),
    rivals=(-0.5,),
)


def find(summary: CellSummary) -> list[LawResult]:
    """The law's finding; none where predictions were not measured.

    Outputs at initialisation are of order 1 under ntk and standard, and training removes them on the training
    points alone: the spread stays. Under mup they are of order m^−½, and in a centred network they are
    subtracted; what is left are the fluctuations of order m^−½ of the kernel, or of the weights' law.

    Source: Jacot et al. 2018, arXiv:1806.07572, section 5, for lazy networks; Yang and Hu 2021,
    arXiv:2011.14522, for the deterministic limit under mup. m^−½ is the central limit theorem about it.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    lasts = scaling(summary) != MUP and not summary.network.get("centered", False)
    return (LASTING if lasts else FALLING).of_cells(summary)
