"""What is measured at a recorded step; a new measurement is a file here and a line in `OBSERVABLES`.

Importing this loads no torch: the driver reads the variables' names from here, workers also measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.observables import drift, kernel, loss, patterns
from workers.variable import CELL, STATUS_FLAGS, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from workers.observables.record import Record


@dataclass(frozen=True)
class Observable:
    """A measurement: its variables in the store, and how to compute them at a record.

    Attributes:
        variables: name, dimensions and meaning of each.
        measure: a record to one tensor for each variable, shape (B,) or (B, layers).
    """

    variables: tuple[Variable, ...]
    measure: Callable[[Record], tuple[Tensor, ...]]


OBSERVABLES = tuple(Observable(m.VARIABLES, m.measure) for m in (loss, kernel, drift, patterns))

STATUS = Variable("status", CELL, "state of the cell", dtype="int8", attributes=STATUS_FLAGS)
TRAINING_VARIABLES = (*(v for o in OBSERVABLES for v in o.variables), STATUS)

__all__ = ["OBSERVABLES", "STATUS", "TRAINING_VARIABLES", "Observable"]
