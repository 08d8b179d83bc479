"""Share of first-layer activation patterns that flipped: m^−½."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.width_law import WidthLaw

LAW = WidthLaw(
    name="pattern_change",
    title="Fewer activation patterns flip, like 1/√m",
    variable="pattern_change",
    y_label="share of (neuron, sample) signs flipped",
    expected=-0.5,
    allowed=(-0.5, -0.5),
    rivals=(0.0, -1.0),
)
