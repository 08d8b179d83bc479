"""Axes of the grid beside width, depth, seed and learning rate, one a file, in their order in the store."""

from __future__ import annotations

from widesweep.pipeline.config.axes import corrupted_fraction, output_scale
from widesweep.pipeline.config.axes.axis import Axis

AXES: dict[str, Axis] = {each.name: each for each in (output_scale.AXIS, corrupted_fraction.AXIS)}


def names() -> tuple[str, ...]:
    """All axes of a grid, outermost first."""
    return ("width", "depth", *AXES, "seed", "learning_rate")
