"""Relative variance of the tangent kernel at finite width, against L/n: slope 1."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.ratio_law import RatioLaw

READS = ("initialization/ntk_variance", "theory/ntk_variance_predicted")

LAW = RatioLaw(
    name="ntk_variance",
    title="The tangent kernel fluctuates like L/n",
    expected=1.0,
    y_label=r"$\mathrm{Var}\,\Theta\, /\, \mathrm{E}[\Theta]^2$",
    variable="ntk_variance",
    predicted="ntk_variance_predicted",
)
