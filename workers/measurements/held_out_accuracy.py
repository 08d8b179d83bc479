"""The share of test points that are classified as their labels say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.measurements.accuracy import RULE, share
from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

VARIABLES = (Variable("test_accuracy", (*CELL, "step"), f"share of test points that are right: {RULE}"),)
NEEDS = ("test_outputs",)


def measure(record: Record) -> tuple[Tensor, ...]:
    """Right test points / their number."""
    return (share(record.test_outputs, record.initial.points.test_y, record.output_count),)
