"""What one step of gradient descent does beyond its linear term."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "second_order_norm",
        (*CELL, "step"),
        "‖I₂‖₂, I₂ = u(k+1) − u(k) + ηG(k)r(k) of one step of gradient descent from here",
    ),
    Variable(
        "output_step_norm", (*CELL, "step"), "‖u(k+1) − u(k)‖₂ of one step of gradient descent from here"
    ),
)
NEEDS = ("unit_cotangents", "kernel", "output_step")


def measure(record: Record) -> tuple[Tensor, ...]:
    """‖I₂‖ and ‖u(k+1) − u(k)‖."""
    return second_order(record).square().sum(1).sqrt(), record.output_step.square().sum(1).sqrt()


def second_order(record: Record) -> Tensor:
    """I₂, shape (B, n·K)."""
    from widesweep.workers.engine.norms import rows_times

    linear = rows_times(record.residual, record.kernel)
    return record.output_step + linear * record.learning_rates[:, None]
