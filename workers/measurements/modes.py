"""The residual in the tangent kernel's eigenbasis, initial and current.

Within a repeated eigenvalue (of K outputs where the last layer trains alone) the basis is any one: there the
norm of its modes together is what means something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

_BASIS = "v_i·r(k), v_i eigenvector {} of the {} tangent kernel, largest eigenvalue first, "
VARIABLES = (
    Variable(
        "residual_mode",
        (*CELL, "step", "mode"),
        _BASIS.format("i", "initial") + "sign such that v_i·r(0) ≥ 0",
    ),
    Variable(
        "residual_mode_current", (*CELL, "step", "mode"), _BASIS.format("i", "current") + "without sign"
    ),
)
NEEDS = ("unit_cotangents", "kernel", "spectrum")


def measure(record: Record) -> tuple[Tensor, ...]:
    """V(0)ᵀ r and |V(k)ᵀ r|."""
    from widesweep.workers.engine.norms import rows_times

    initial = rows_times(record.residual, record.initial.spectrum[1][record.start_of_cell])
    current = rows_times(record.residual, record.spectrum[1])
    return initial.flip(1), current.abs().flip(1)
