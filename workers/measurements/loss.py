"""Loss and residual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "loss",
        (*CELL, "step"),
        "loss Σ_i l(αf(x_i), y_i) over training points; ½ Σ_i (αf(x_i) − y_i)² if squared",
    ),
    Variable(
        "residual_norm",
        (*CELL, "step"),
        "residual ‖r‖₂ on the training points, r = ∂l/∂(αf); αf − y if squared",
    ),
)
NEEDS: tuple[str, ...] = ()


def measure(record: Record) -> tuple[Tensor, ...]:
    """L and ‖r‖."""
    return record.loss, record.residual.square().sum(1).sqrt()
