"""The largest curvature of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "sharpness",
        (*CELL, "step"),
        "λ_max of the Hessian ∇²L(θ(k)) over the parameters that train, L the loss",
    ),
)
NEEDS = ("sharpness",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """λ_max(∇²L), by Lanczos' method on Hessian-vector products.

    Source: Cohen et al. 2021, arXiv:2103.00065.
    """
    return (record.sharpness,)
