"""K^(L)(x, x) and ∂∂'K^(L) of random networks at criticality by depth: 0 if scale-invariant, −1 if K* = 0."""

from __future__ import annotations

from typing import Any

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.ratio_law import RatioLaw
from widesweep.analysis.laws.kinds.regime import AT_START, Regime
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.theory import activations
from widesweep.theory.activations import Activation
from widesweep.theory.infinite_width.criticality import critical_point

READS = (
    "initialization/kernel_mean",
    "theory/kernel_mean_predicted",
    "initialization/kernel_derivative_mean",
    "theory/kernel_derivative_mean_predicted",
)
REGIME = Regime((AT_START,))
NAME, DERIVATIVE = "depth_criticality", "depth_criticality_derivative"
TITLES = {
    (NAME, "scale-invariant"): "A scale-invariant activation's kernel stays in depth",
    (NAME, "K* = 0"): "A tanh-like activation's kernel falls like 1/depth",
    (DERIVATIVE, "scale-invariant"): "A scale-invariant activation's output stays as steep in depth",
    (DERIVATIVE, "K* = 0"): "A tanh-like activation's squared slope falls like 1/depth",
}
VARIABLES = {
    NAME: ("kernel_mean", r"$K^{(L)}(x, x)$"),
    DERIVATIVE: ("kernel_derivative_mean", r"$\partial\partial' K^{(L)}(x, x)$"),
}
EXPECTED = {"scale-invariant": 0.0, "K* = 0": -1.0}
TOLERANCE = 1e-6  # of C_W to its critical value


def find(summary: CellSummary) -> list[LawResult]:
    """A finding each for K and ∂∂'K of networks at the critical point of these two classes; none for others.

    The expectation is the class's exponent as L → ∞, for K* = 0 that of an odd activation; what is allowed on
    a grid is the slope of the recursion there, with its 1/n correction.

    Source: Roberts, Yaida and Hanin 2021, arXiv:2106.10165; Hanin 2022, arXiv:2204.01058.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    return [finding for law in laws(summary) for finding in law.find(summary)]


def laws(summary: CellSummary) -> list[RatioLaw]:
    """The laws of these networks' class; none for others."""
    group = summary.initialization
    if group is None or summary.network.get("bias_variance", 0.0):
        return []
    activation = _activation(summary.network.get("activation", "relu"))
    if activation is None:
        return []
    point = critical_point(activation)
    variance = summary.network.get("weight_variance")
    critical = variance is None or abs(variance - point.weight_variance) <= TOLERANCE * point.weight_variance
    kind = point.universality_class
    if not critical or kind not in EXPECTED:
        return []
    return [
        RatioLaw(
            name=name,
            title=TITLES[name, kind],
            expected=EXPECTED[kind],
            y_label=label,
            variable=variable,
            predicted=f"{variable}_predicted",
            along_depth=True,
        )
        for name, (variable, label) in VARIABLES.items()
    ]


def _activation(config: Any) -> Activation | None:
    """The network's; None: it is a plug-in, which reading a store does not import."""
    if isinstance(config, dict):
        return activations.leaky(*config["leaky"])
    return activations.NAMED.get(str(config))
