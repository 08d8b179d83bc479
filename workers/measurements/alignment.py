"""How far the tangent kernel points along the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "label_alignment", (*CELL, "step"), "kernel–target alignment yᵀG(k)y / (‖G(k)‖_F ‖y‖²), from 0 to 1"
    ),
)
NEEDS = ("unit_cotangents", "kernel")


def measure(record: Record) -> tuple[Tensor, ...]:
    """A(k) = ⟨G(k), yyᵀ⟩_F / (‖G(k)‖_F ‖yyᵀ‖_F).

    Source: Cristianini et al. 2001, On Kernel-Target Alignment.
    """
    from widesweep.workers.engine.norms import frobenius, rows_times

    kernel = record.kernel
    labels = record.initial.targets.expand_as(record.residual)
    along = (rows_times(labels, kernel) * labels).sum(1)
    return (along / (frobenius(kernel) * labels.square().sum(1)),)
