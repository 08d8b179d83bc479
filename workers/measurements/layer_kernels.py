"""Each layer's own part of the tangent kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "layer_ntk_min_eigenvalue",
        (*CELL, "step", "layer"),
        "least eigenvalue of G^(h)(k), layer h's part of the tangent kernel; NaN where it does not train",
    ),
)
NEEDS = ("unit_cotangents", "layer_kernels", "layer_eigenvalues")


def measure(record: Record) -> tuple[Tensor, ...]:
    """λ_min(G^(h)(k)) of every layer."""
    import torch

    from widesweep.workers.engine.norms import extreme_eigenvalues

    none = torch.full_like(record.residual[:, 0], float("nan"))
    return (torch.stack([none if g is None else extreme_eigenvalues(g)[0] for g in record.layer_kernels], 1),)
