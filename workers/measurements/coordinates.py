"""How far each layer's pre-activations have moved: the coordinate check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (
    Variable(
        "pre_activation_change",
        (*CELL, "step", "layer"),
        "root mean square of z^(h)(k) − z^(h)(0) over layer h's neurons and the training points; layer "
        "depth+1 is the output, without α",
    ),
)
NEEDS = ("pre_activations",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """(mean_{r,i} (z^(h)_r(x_i; k) − z^(h)_r(x_i; 0))²)^½ of each layer h.

    Source: Yang et al. 2022, arXiv:2203.03466, the coordinate check of appendix D.1.
    """
    import torch

    pairs = zip(record.pre_activations, record.initial.pre_activations, strict=True)
    changes = [(now - first[record.start_of_cell]).square().mean((1, 2)).sqrt() for now, first in pairs]
    return (torch.stack(changes, 1),)
