"""The last hidden layer's tangent kernel, the one that Du et al. follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "last_hidden_ntk_change",
        (*CELL, "step"),
        "‖G^(H)(k) − G^(H)(0)‖₂, the last hidden layer's part of the tangent kernel; NaN where it is fixed",
    ),
)
NEEDS = ("unit_cotangents", "layer_kernels", "last_hidden_eigenvalues")


def measure(record: Record) -> tuple[Tensor, ...]:
    """‖G^(H)(k) − G^(H)(0)‖₂, H = depth."""
    return (change(record),)


def change(record: Record) -> Tensor:
    """Largest absolute eigenvalue of the difference, shape (B,)."""
    import torch

    from widesweep.workers.engine.norms import extreme_eigenvalues

    now, initial = record.layer_kernels[-2], record.initial.layer_kernels[-2]
    if now is None or initial is None:
        return torch.full_like(record.residual[:, 0], float("nan"))
    least, largest = extreme_eigenvalues(now - initial[record.start_of_cell])
    return torch.maximum(largest, -least)
