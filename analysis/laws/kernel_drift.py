"""Relative change of the tangent kernel: between m^−½ (proved) and m^−1 (seen)."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.width_law import WidthLaw

LAW = WidthLaw(
    name="kernel_drift",
    title="Tangent kernel changes less as width grows",
    variable="ntk_relative_change",
    y_label=r"kernel change, $\Vert\Delta G\Vert_F / \Vert G(0)\Vert_F$",
    expected=-0.5,
    allowed=(-1.0, -0.5),
    rivals=(0.0,),
)
