"""Cell summaries of synthetic sweeps, without a store on disk."""

from __future__ import annotations

import json

import xarray as xr

from tests.analysis import synthetic
from tests.analysis.synthetic import SyntheticSweep
from widesweep.analysis.laws import VARIABLES
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary, gather


def summary(sweep: SyntheticSweep) -> CellSummary:
    """What `gather` makes of the sweep."""
    groups = {
        "/": xr.Dataset(attrs={"config": json.dumps(synthetic.config(sweep))}),
        "/theory": synthetic.theory(sweep),
    }
    if sweep.training:
        groups["/training"] = synthetic.training(sweep)
    if sweep.initialization:
        groups["/initialization"] = synthetic.initialization(sweep)
    return gather(xr.DataTree.from_dict(groups), VARIABLES)


def by_name(law_results: list[LawResult]) -> dict[str, LawResult]:
    """Findings by the name of their law."""
    return {finding.name: finding for finding in law_results}
