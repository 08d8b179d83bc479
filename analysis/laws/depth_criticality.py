"""K^(L)(x, x) of random networks at criticality against the depth: 0 if scale-invariant, −1 if K* = 0."""

from __future__ import annotations

from typing import Any

from analysis.evidence import Evidence
from analysis.laws.finding import Finding
from analysis.laws.ratio_law import RatioLaw
from theory import activations
from theory.activations import Activation
from theory.criticality import critical_point

READS = ("initialization/kernel_mean", "theory/kernel_mean_predicted")
NAME = "depth_criticality"
TITLES = {
    "scale-invariant": "A scale-invariant activation's kernel stays in depth",
    "K* = 0": "A tanh-like activation's kernel falls like 1/depth",
}
EXPECTED = {"scale-invariant": 0.0, "K* = 0": -1.0}
TOLERANCE = 1e-6  # of C_W to its critical value


def find(evidence: Evidence) -> list[Finding]:
    """One finding for networks at the critical point of these two classes; none for others.

    The expectation is the class's exponent as L → ∞; what is allowed on a grid is the slope of the recursion
    there, with its 1/n correction.

    >>> import xarray as xr
    >>> find(Evidence({}, None, None, None, xr.Dataset()))
    []
    """
    group = evidence.initialization
    if group is None or "kernel_mean" not in group or evidence.network.get("bias_variance", 0.0):
        return []
    activation = _activation(evidence.network.get("activation", "relu"))
    point = critical_point(activation)
    variance = evidence.network.get("weight_variance")
    critical = variance is None or abs(variance - point.weight_variance) <= TOLERANCE * point.weight_variance
    if not critical or point.universality_class not in EXPECTED:
        return []
    return RatioLaw(
        name=NAME,
        title=TITLES[point.universality_class],
        expected=EXPECTED[point.universality_class],
        y_label=r"$K^{(L)}(x, x)$",
        variable="kernel_mean",
        predicted="kernel_mean_predicted",
        along_depth=True,
    ).find(evidence)


def _activation(config: Any) -> Activation:
    if isinstance(config, dict):
        return activations.leaky(*config["leaky"])
    return activations.get(str(config))
