"""The empirical tangent kernel: its extreme eigenvalues and how far it has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

_G = "tangent kernel G(k) = Σ_θ ∂(αf_i)/∂θ ∂(αf_j)/∂θ over the parameters that train"
VARIABLES = (
    Variable(
        "ntk_min_eigenvalue", (*CELL, "step"), f"least eigenvalue of the {_G}", label="λ_min of the NTK"
    ),
    Variable(
        "ntk_max_eigenvalue", (*CELL, "step"), f"largest eigenvalue of the {_G}", label="λ_max of the NTK"
    ),
    Variable("ntk_relative_change", (*CELL, "step"), f"‖G(k) − G(0)‖_F / ‖G(0)‖_F of the {_G}"),
)
NEEDS = ("unit_cotangents", "kernel", "extreme_eigenvalues")


def measure(record: Record) -> tuple[Tensor, ...]:
    """λ_min, λ_max and the relative change in Frobenius norm."""
    from widesweep.workers.engine.norms import extreme_eigenvalues, frobenius

    least, largest = extreme_eigenvalues(record.kernel)
    initial = record.initial.kernel[record.start_of_cell]
    return least, largest, frobenius(record.kernel - initial) / frobenius(initial)
