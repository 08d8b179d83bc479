"""How far the weights have moved: in all, by layer, and the farthest neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

_LAYER = "‖W^(h)(k) − W^(h)(0)‖ / ‖W^(h)(0)‖ of layer h's weights, {} norm; layer depth+1 is the output"
VARIABLES = (
    Variable("parameter_change", (*CELL, "step"), "‖θ(k) − θ(0)‖₂ over all weights and biases"),
    Variable(
        "neuron_change_max",
        (*CELL, "step"),
        "largest ‖w_r(k) − w_r(0)‖₂ over first-layer neurons r, in units where w ~ N(0, I)",
        label="largest neuron drift",
    ),
    Variable("layer_relative_change", (*CELL, "step", "layer"), _LAYER.format("operator")),
    Variable(
        "layer_relative_change_frobenius",
        (*CELL, "step", "layer"),
        _LAYER.format("Frobenius"),
        label="layer change, Frobenius",
    ),
)
NEEDS = ("weight_changes", "norms", "ensemble")


def measure(record: Record) -> tuple[Tensor, ...]:
    """‖Δθ‖, max_r ‖Δw_r‖, and for each layer the relative change in both norms."""
    import torch

    from widesweep.workers.engine.norms import frobenius, operator_norm

    ensemble, initial, of_cell = record.ensemble, record.initial, record.start_of_cell
    none = torch.zeros(len(ensemble), dtype=record.residual.dtype, device=record.residual.device)
    squared, operator, frobenius_norm = none.clone(), [], []
    for h, change in enumerate(record.weight_changes):
        norm = none if change is None else frobenius(change)
        squared += norm.square()
        frobenius_norm.append(norm / initial.frobenius_norms[h][of_cell])
        largest = none if change is None else operator_norm(change)
        operator.append(largest / initial.operator_norms[h][of_cell])
    for bias, bias_0 in zip(ensemble.biases, ensemble.initial_biases, strict=True):
        if bias is not None and bias_0 is not None:
            squared += (bias - bias_0[of_cell]).square().sum((1, 2))
    first = record.weight_changes[0]
    neuron = none if first is None else first.square().sum(1).amax(1).sqrt() / ensemble.layers[0].weight_std
    return squared.sqrt(), neuron, torch.stack(operator, 1), torch.stack(frobenius_norm, 1)
