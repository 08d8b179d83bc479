"""Movement of all parameters at fixed width, centred model: 1/α."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.scale_law import ScaleLaw

LAW = ScaleLaw(
    name="movement_by_scale",
    title="Parameters of the centred model move like 1/α",
    variable="parameter_change",
    y_label=r"movement, $\Vert\theta - \theta_0\Vert_2$",
)
