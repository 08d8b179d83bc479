"""The laws: an entry in `tables`, or a file and a line in `LAWS`."""

from __future__ import annotations

from collections.abc import Callable

from widesweep.analysis.laws import (
    convergence,
    cumulants,
    depth_criticality,
    iterations,
    label_corruption,
    layer_drift,
    own_kernel,
    weight_drift,
)
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.tables import RATIO_LAWS, SCALE_LAWS, SUBSPACE_LAWS, WIDTH_LAWS
from widesweep.analysis.reading.axes import pooled
from widesweep.analysis.reading.cell_summary import CellSummary

Law = Callable[[CellSummary], list[LawResult]]

LAWS: tuple[Law, ...] = (  # these see an axis of variants as more learning rates
    convergence.find,
    own_kernel.find,
    weight_drift.LAW.find,
    *(law.find for law in WIDTH_LAWS.values()),
    layer_drift.find,
    cumulants.find,
    *(law.find for law in RATIO_LAWS.values()),
    depth_criticality.find,
    *(law.find for law in SUBSPACE_LAWS.values()),
    iterations.find,
)
BY_VARIANT: tuple[Law, ...] = (*(law.find for law in SCALE_LAWS.values()), label_corruption.find)

VARIABLES = (
    "neuron_change_max",
    "ntk_relative_change",
    "pattern_change",
    "layer_relative_change",
    "layer_relative_change_frobenius",
    "parameter_change",
    "ntk_min_eigenvalue",
    "ntk_max_eigenvalue",
)


def find_all(summary: CellSummary) -> list[LawResult]:
    """The results of every law that concerns the sweep, in the order of the list.

    >>> import xarray as xr
    >>> find_all(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    together = pooled(summary)
    law_results = [result for law in LAWS for result in law(together)]
    return law_results + [result for law in BY_VARIANT for result in law(summary)]
