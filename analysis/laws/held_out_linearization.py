"""Distance from the linearisation on test points: between m^−½ (proved) and m^−1 (seen)."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.width_law import WidthLaw

READS = ("training/linearized_test_distance",)

LAW = WidthLaw(
    name="linearization_test",
    title="The network follows its linearisation on new points too",
    variable="linearized_test_distance_largest",
    y_label=r"$\sup_k \Vert u(k) - u_{lin}(k)\Vert_2$, test points",
    expected=-0.5,
    allowed=(-1.0, -0.5),
    rivals=(0.0,),
)
