"""Loss on points that were not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "test_loss",
        (*CELL, "step"),
        "loss Σ_i l(αf(x_i), y_i) over test points; ½ Σ_i (αf(x_i) − y_i)² if squared",
    ),
)
NEEDS = ("test_outputs",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """L on the test points."""
    initial = record.initial
    return (initial.loss.total(record.test_outputs, initial.points.test_y, record.output_count),)
