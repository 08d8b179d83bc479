"""The share of training points that are classified as their labels say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

RULE = "sign of αf that of y; of K outputs, the largest where the label's is"
VARIABLES = (Variable("accuracy", (*CELL, "step"), f"share of training points that are right: {RULE}"),)
NEEDS: tuple[str, ...] = ()


def measure(record: Record) -> tuple[Tensor, ...]:
    """Right points / n."""
    return (share(record.outputs, record.initial.targets, record.output_count),)


def share(outputs: Tensor, targets: Tensor, count: int) -> Tensor:
    """Of outputs αf (B, n·K) and labels (n·K,), shape (B,); an output of 0 is right where y is 0."""
    if count == 1:
        return (outputs.sign() == targets.sign()).to(outputs.dtype).mean(1)
    f, y = outputs.reshape(len(outputs), -1, count), targets.reshape(-1, count)
    return (f.argmax(-1) == y.argmax(-1)).to(outputs.dtype).mean(1)
