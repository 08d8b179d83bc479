"""The whole spectrum of the tangent kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "ntk_eigenvalue", (*CELL, "step", "mode"), "eigenvalues of the tangent kernel G(k), largest first"
    ),
)
NEEDS = ("unit_cotangents", "kernel", "spectrum")


def measure(record: Record) -> tuple[Tensor, ...]:
    """λ_1 ≥ … ≥ λ_n of G(k)."""
    return (record.spectrum[0].flip(1),)
