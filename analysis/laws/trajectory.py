"""Distance of the centred network's residual from its infinite-width trajectory: m^−½."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.width_law import WidthLaw

READS = ("training/residual_norm", "theory/residual_norm_predicted")

LAW = WidthLaw(
    name="trajectory",
    title="The residual follows the infinite-width trajectory more closely as width grows",
    variable="trajectory_gap",
    y_label=r"$\sup_k\, |\Vert r(k)\Vert - \Vert r(k)\Vert_\infty| / \Vert r(0)\Vert$",
    expected=-0.5,
    allowed=(-1.0, -0.5),
    rivals=(0.0,),
)
