"""The linearised network beside the true one, on the training points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable("linearized_distance", (*CELL, "step"), "‖u(k) − u_lin(k)‖₂ on the training points"),
    Variable(
        "linearized_residual_norm", (*CELL, "step"), "‖u_lin(k) − y‖₂ of the model linearised at its start"
    ),
)
NEEDS = ("linearized",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """‖r − r_lin‖ and ‖r_lin‖."""
    linear = record.linearized.residual
    return (record.residual - linear).square().sum(1).sqrt(), linear.square().sum(1).sqrt()
