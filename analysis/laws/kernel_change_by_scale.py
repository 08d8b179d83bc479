"""Relative change of the tangent kernel at fixed width, centred model, smooth activation: 1/α.

Where the activation has a kink the kernel also jumps as neurons cross it, by a few flips at moderate α and by
none at large α: between the two no single exponent holds at a finite width, so there is no law.
"""

from __future__ import annotations

from widesweep.analysis.laws.kinds.scale_law import ScaleLaw
from widesweep.analysis.reading.cell_summary import CellSummary

SMOOTH = ("linear", "tanh", "erf", "gelu")


def _is_smooth(summary: CellSummary) -> bool:
    return summary.network.get("activation", "relu") in SMOOTH


LAW = ScaleLaw(
    name="kernel_change_by_scale",
    title="Tangent kernel of the centred model changes like 1/α",
    variable="ntk_relative_change",
    y_label=r"kernel change, $\Vert\Delta G\Vert_F / \Vert G(0)\Vert_F$",
    concerns=_is_smooth,
)
