"""The laws: one file each, and one line in `LAWS`."""

from __future__ import annotations

from collections.abc import Callable

from widesweep.analysis.laws import (
    convergence,
    cumulants,
    depth_criticality,
    gradient_variance,
    held_out_linearization,
    hessian_norm,
    information_decay,
    iterations,
    kernel_change_by_scale,
    kernel_drift,
    label_corruption,
    layer_drift,
    linearization,
    movement_by_scale,
    ntk_variance,
    nuisance_decay,
    output_covariance,
    own_kernel,
    pattern_change,
    trajectory,
    weight_drift,
)
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.axes import pooled
from widesweep.analysis.reading.cell_summary import CellSummary

Law = Callable[[CellSummary], list[LawResult]]

LAWS: tuple[Law, ...] = (  # they see an axis of variants as more learning rates
    convergence.find,
    own_kernel.find,
    weight_drift.LAW.find,
    kernel_drift.LAW.find,
    cumulants.find,
    output_covariance.LAW.find,
    gradient_variance.LAW.find,
    ntk_variance.LAW.find,
    hessian_norm.NORM.find,
    hessian_norm.GRADIENT.find,
    depth_criticality.find,
    pattern_change.LAW.find,
    layer_drift.find,
    linearization.LAW.find,
    held_out_linearization.LAW.find,
    trajectory.LAW.find,
    information_decay.LAW.find,
    nuisance_decay.LAW.find,
    iterations.find,
)
BY_VARIANT: tuple[Law, ...] = (
    movement_by_scale.LAW.find,
    kernel_change_by_scale.LAW.find,
    label_corruption.find,
)

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
    """Every law's findings, in the order of the list; laws that the sweep does not concern are left out.

    >>> import xarray as xr
    >>> find_all(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    together = pooled(summary)
    law_results = [finding for law in LAWS for finding in law(together)]
    return law_results + [finding for law in BY_VARIANT for finding in law(summary)]
