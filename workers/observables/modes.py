"""The residual in the tangent kernel's eigenbasis, initial and current."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from workers.observables.record import Record

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
    import torch

    row = record.residual[:, None]
    initial = torch.bmm(row, record.start.spectrum[1][record.ensemble.start])
    current = torch.bmm(row, record.spectrum[1])
    return initial[:, 0].flip(1), current[:, 0].abs().flip(1)
