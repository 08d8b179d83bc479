"""First-layer neurons that changed sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "pattern_change",
        (*CELL, "step"),
        "share of first-layer (neuron, sample) pairs whose pre-activation changed sign since step 0",
        label="share of signs flipped",
    ),
)
NEEDS = ("pattern",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """Mean over neurons and samples of 1{z_1(k) > 0} ≠ 1{z_1(0) > 0}."""
    flipped = record.pattern != record.initial.pattern[record.start_of_cell]
    return (flipped.to(record.residual.dtype).mean((1, 2)),)
