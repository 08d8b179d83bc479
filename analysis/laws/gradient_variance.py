"""Relative variance of ‖∂z/∂x‖² that layers after the first add, against L/n: slope 1."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.ratio_law import RatioLaw

READS = ("initialization/input_gradient_excess", "theory/input_gradient_excess_predicted")

LAW = RatioLaw(
    name="gradient_variance",
    title="The input gradient fluctuates like L/n",
    expected=1.0,
    y_label=r"excess variance of $\Vert\partial z/\partial x\Vert^2$",
    variable="input_gradient_excess",
    predicted="input_gradient_excess_predicted",
)
