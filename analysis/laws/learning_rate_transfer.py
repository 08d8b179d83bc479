"""The best learning rate against the width: 0 under μP, −1 of Adam's under standard."""

from __future__ import annotations

from dataclasses import replace

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.regime import (
    DESCENT,
    MUP,
    NTK,
    STANDARD,
    Limit,
    Outside,
    Regime,
    scaling,
    settings,
)
from widesweep.analysis.laws.kinds.width_law import WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

READS = ("training/loss",)  # in the store; the law's reference says so
FEWEST_RATES = 4
ADAPTIVE = ("adam", "adamw")
PLAIN = (*DESCENT, "sgd", "momentum")


def exponent(summary: CellSummary) -> float | None:
    """Slope of the best learning rate, in the config's unit; None where theory has none.

    A rate relative to the kernel's largest eigenvalue is one flow at every width, under any of the three
    scalings. Adam's steps do not know the gradient's size: under standard a layer of fan-in m then moves its
    pre-activations by ηm, so that the best η falls like 1/m. The layers' rates of μP's table make up for it.

    >>> import xarray as xr
    >>> training = {"optimizer": "adam", "learning_rate_unit": "absolute"}
    >>> config = {"network": {"parameterization": "standard"}, "training": training}
    >>> exponent(CellSummary(config, None, None, None, xr.Dataset()))
    -1.0
    """
    optimizer = str(settings(summary).get("optimizer", "gd"))
    if optimizer in PLAIN:
        return 0.0 if scaling(summary) in (NTK, STANDARD, MUP) else None
    absolute = settings(summary).get("learning_rate_unit", "relative") == "absolute"
    if optimizer not in ADAPTIVE or not absolute:
        return None
    if summary.network.get("parameterization") == MUP:
        return 0.0 if settings(summary).get("learning_rate_scale") == MUP else None
    return -1.0 if summary.network.get("parameterization") == STANDARD else None


def _outside(summary: CellSummary) -> Outside | None:
    if exponent(summary) is not None:
        return None
    optimizer = settings(summary).get("optimizer", "gd")
    return Outside(f"no exponent is known of {optimizer} with this parameterisation and unit of η")


WHERE = Limit(
    "parameterised as ntk, du, standard or mup with a relative rate, or under Adam with an absolute one as "
    "standard, or as mup with its table of rates",
    _outside,
)
REGIME = Regime((WHERE,))
NAME = "learning_rate_transfer"
SAME, ADAM = "relative", "adam, standard"
EXPECTED = {SAME: 0.0, ADAM: -1.0}
TITLES = {
    SAME: "The best learning rate, relative to the kernel or by μP's table, is the same at every width",
    ADAM: "Under Adam with standard weights the best learning rate falls like 1/m",
}
LAW = WidthLaw(
    name=NAME,
    title=TITLES[SAME],
    variable="best_learning_rate",
    y_label="learning rate with the least last loss",
    expected=0.0,
    allowed=(0.0, 0.0),
    rivals=(-0.5, -1.0),
)


def find(summary: CellSummary) -> list[LawResult]:
    """The law's finding; none where the grid has fewer than four learning rates.

    Source: Yang et al. 2022, arXiv:2203.03466, Table 3 and figure 1.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    cells = summary.cells
    if cells is None or LAW.variable not in cells or cells.sizes["learning_rate"] < FEWEST_RATES:
        return []
    slope = exponent(summary)
    title = TITLES[ADAM if slope == EXPECTED[ADAM] else SAME]
    slope = 0.0 if slope is None else slope
    law = replace(LAW, title=title, expected=slope, allowed=(slope, slope))
    of_networks = replace(summary, cells=cells.isel(learning_rate=[0]))
    return law.of_cells(of_networks)
