"""The laws: an entry in `tables`, or a file and a line in `LAWS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

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
from widesweep.analysis.laws.kinds.law_result import LawResult, not_applicable
from widesweep.analysis.laws.kinds.regime import Regime
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

    A law is fitted to the cells in its regime alone; where there are none, it is `not_applicable`.

    >>> import xarray as xr
    >>> find_all(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    together = pooled(summary)
    law_results = [result for law in LAWS for result in _within(law, together)]
    return law_results + [result for law in BY_VARIANT for result in _within(law, summary)]


def regime_of(law: Law) -> Regime:
    """Where a law speaks: `regime` of the object that it is a method of, or `REGIME` of its file.

    >>> regime_of(cumulants.find).sentence
    ''
    """
    owner = getattr(law, "__self__", None)
    found: Regime = sys.modules[law.__module__].REGIME if owner is None else owner.regime
    return found


def _within(law: Law, summary: CellSummary) -> list[LawResult]:
    """What the law finds in its regime, with the regime and what lies outside in words."""
    regime = regime_of(law)
    inside, left_out = regime.within(summary)
    if inside is None:
        return [
            replace(not_applicable(f.name, f.title, left_out), regime=regime.sentence) for f in law(summary)
        ]
    return [
        replace(f, regime=regime.sentence, note=" ".join(filter(None, (f.note, left_out))))
        for f in law(inside)
    ]
