"""Loss and residual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable("loss", (*CELL, "step"), "loss ½ Σ_i (αf(x_i) − y_i)², summed over training points and outputs"),
    Variable("residual_norm", (*CELL, "step"), "residual ‖r‖₂, r = αf − y on the training points"),
)
NEEDS: tuple[str, ...] = ()


def measure(record: Record) -> tuple[Tensor, ...]:
    """½‖r‖² and ‖r‖."""
    squared = record.residual.square().sum(1)
    return 0.5 * squared, squared.sqrt()
