"""Distance of the network from its own linearisation: between m^−½ (proved) and m^−1 (seen)."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.width_law import WidthLaw

READS = ("training/linearized_distance",)

LAW = WidthLaw(
    name="linearization",
    title="The network follows its linearisation more closely as width grows",
    variable="linearized_distance_largest",
    y_label=r"$\sup_k \Vert u(k) - u_{lin}(k)\Vert_2$, training points",
    expected=-0.5,
    allowed=(-1.0, -0.5),
    rivals=(0.0,),
)
