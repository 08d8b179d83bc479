"""The laws: one file each, and one line in `LAWS`."""

from __future__ import annotations

from collections.abc import Callable

from analysis.evidence import Evidence
from analysis.laws import (
    convergence,
    cumulants,
    kernel_change_by_scale,
    kernel_drift,
    layer_drift,
    movement_by_scale,
    own_kernel,
    pattern_change,
    weight_drift,
)
from analysis.laws.finding import Finding
from analysis.scale_axis import pooled

Law = Callable[[Evidence], list[Finding]]

LAWS: tuple[Law, ...] = (  # they see an axis of output scales as more learning rates
    convergence.find,
    own_kernel.find,
    weight_drift.LAW.find,
    kernel_drift.LAW.find,
    cumulants.find,
    pattern_change.LAW.find,
    layer_drift.find,
)
BY_SCALE: tuple[Law, ...] = (movement_by_scale.LAW.find, kernel_change_by_scale.LAW.find)

VARIABLES = (
    "neuron_change_max",
    "ntk_relative_change",
    "pattern_change",
    "layer_relative_change",
    "layer_relative_change_frobenius",
    "parameter_change",
)


def find_all(evidence: Evidence) -> list[Finding]:
    """Every law's findings, in the order of the list; laws that the sweep does not concern are left out.

    >>> import xarray as xr
    >>> find_all(Evidence({}, None, None, None, xr.Dataset()))
    []
    """
    together = pooled(evidence)
    findings = [finding for law in LAWS for finding in law(together)]
    return findings + [finding for law in BY_SCALE for finding in law(evidence)]
