"""The linearised network beside the true one, on the test points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable("linearized_test_distance", (*CELL, "step"), "‖u(k) − u_lin(k)‖₂ on the test points"),
    Variable("linearized_test_loss", (*CELL, "step"), "½‖u_lin(k) − y‖² on the test points"),
)
NEEDS = ("linearized", "test_outputs", "test_kernel")


def measure(record: Record) -> tuple[Tensor, ...]:
    """u_lin(k) = u(0) − G(test, train) V (1 − p_k(Λ))/Λ Vᵀ r(0): its distance from u(k), and its loss."""
    import torch

    from widesweep.workers.engine.norms import rows_times

    initial, of_cell = record.initial, record.start_of_cell
    outputs = initial.test.outputs if initial.test_offset is None else torch.zeros_like(initial.test.outputs)
    moved = rows_times(record.linearized.pull, initial.test_kernel[of_cell].transpose(1, 2))
    linear = outputs[of_cell] - moved
    distance = (record.test_outputs - linear).square().sum(1).sqrt()
    return distance, 0.5 * (linear - initial.points.test_y).square().sum(1)
