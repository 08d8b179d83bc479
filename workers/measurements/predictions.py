"""What the network says of each test point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "test_prediction",
        (*CELL, "step", "prediction"),
        "αf(x_i) at the test points, less its start if centred",
    ),
)
NEEDS = ("test_outputs",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """αf(X_test), outputs sample-major."""
    return (record.test_outputs,)
