"""The conditions of Du et al.'s proof, each true (1) or false (0) at every record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

ROUNDING = 64  # in units of machine epsilon and of the outputs
_LAMBDA = "; λ0 = λ_min of the last hidden layer's infinite-width kernel; 1 true, 0 false, NaN: it is fixed"
VARIABLES = (
    Variable("du_start", (*CELL, "step"), "λ_min(G^(H)(0)) ≥ ¾λ0" + _LAMBDA),
    Variable("du_kernel", (*CELL, "step"), "‖G^(H)(k) − G^(H)(0)‖₂ ≤ λ0/4" + _LAMBDA),
    Variable("du_loss", (*CELL, "step"), "loss(k) ≤ (1 − ηλ0/2)^k loss(0)" + _LAMBDA),
    Variable("du_drift", (*CELL, "step"), "every ‖W^(h)(k) − W^(h)(0)‖_F ≤ 4√n‖r(0)‖/λ0" + _LAMBDA),
    Variable("du_second_order", (*CELL, "step"), "‖I₂‖ ≤ ηλ0‖r(k)‖/8" + _LAMBDA),
    Variable("du_output_step", (*CELL, "step"), "‖u(k+1) − u(k)‖² ≤ ηλ0‖r(k)‖²/8" + _LAMBDA),
)
NEEDS = (
    "unit_cotangents",
    "kernel",
    "layer_kernels",
    "last_hidden_eigenvalues",
    "output_step",
    "weight_changes",
)


def measure(record: Record) -> tuple[Tensor, ...]:
    """The six conditions; the drift's constant is that of every neuron times √m, n counts all outputs.

    Source: Du et al. 2018, arXiv:1811.03804, the conditions and lemmas of its convergence proof;
    arXiv:1810.02054 for the drift of a neuron.
    """
    import torch

    from widesweep.workers.engine.norms import extreme_eigenvalues
    from widesweep.workers.measurements.last_hidden_kernel import change
    from widesweep.workers.measurements.second_order import second_order

    initial, of_cell = record.initial, record.start_of_cell
    kernel = initial.layer_kernels[-2]
    if kernel is None:
        return (torch.full_like(record.residual[:, 0], float("nan")),) * len(VARIABLES)
    least, outputs = initial.least_limit_eigenvalue, record.residual.shape[1]
    now, first = record.residual.square().sum(1), initial.residual.square().sum(1)[of_cell]
    step = record.learning_rates * least
    conditions = (
        extreme_eigenvalues(kernel)[0][of_cell] >= 0.75 * least,
        change(record) <= least / 4.0,
        now <= (1.0 - step / 2.0) ** record.step * first,
        _farthest_layer(record) <= 4.0 * (outputs * first).sqrt() / least,
        second_order(record).square().sum(1).sqrt() <= step * now.sqrt() / 8.0 + _rounding(record),
        record.output_step.square().sum(1) <= step * now / 8.0,
    )
    return tuple(each.to(record.residual.dtype) for each in conditions)


def _rounding(record: Record) -> Tensor:
    """The rounding error of a difference of outputs, shape (B,)."""
    import torch

    outputs = record.residual.square().sum(1).sqrt() + record.initial.targets.square().sum().sqrt()
    return ROUNDING * torch.finfo(outputs.dtype).eps * outputs


def _farthest_layer(record: Record) -> Tensor:
    """max_h ‖W^(h)(k) − W^(h)(0)‖_F, shape (B,)."""
    import torch

    from widesweep.workers.engine.norms import frobenius

    return torch.stack([frobenius(w) for w in record.weight_changes if w is not None]).amax(0)
