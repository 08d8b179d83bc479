"""Loss on points that were not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable("test_loss", (*CELL, "step"), "½ Σ_i (αf(x_i) − y_i)², summed over test points and outputs"),
)
NEEDS = ("test_outputs",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """½‖αf(X_test) − y_test‖²."""
    return (0.5 * (record.test_outputs - record.initial.points.test_y).square().sum(1),)
