"""Relative change of the tangent kernel: between m^−½ (proved) and m^−1 (seen)."""

from __future__ import annotations

from analysis.laws.width_law import WidthLaw

LAW = WidthLaw(
    name="kernel_drift",
    title="Tangent kernel changes less as width grows",
    variable="ntk_relative_change",
    y_label="kernel change, ‖G(end) − G(0)‖_F / ‖G(0)‖_F",
    expected=-0.5,
    allowed=(-1.0, -0.5),
    rivals=((0.0, "No decay"),),
)
