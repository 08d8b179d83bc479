"""What is measured at a recorded step; a new measurement is a file here and a line in `MEASUREMENTS`.

A config names those it wants in `training.measure`; what is not named is neither computed nor stored.

Importing this loads no torch: the driver reads the variables' names from here, workers also measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widesweep.workers import choices
from widesweep.workers.measurements import (
    accuracy,
    alignment,
    coordinates,
    drift,
    du_conditions,
    held_out_accuracy,
    held_out_loss,
    kernel,
    last_hidden_kernel,
    layer_kernels,
    linearized,
    linearized_held_out,
    loss,
    modes,
    patterns,
    predictions,
    second_order,
    sharpness,
    spectrum,
    subspaces,
)
from widesweep.workers.measurements.declared import declared
from widesweep.workers.variable import CELL, STATUS_FLAGS, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record


@dataclass(frozen=True)
class Measurement:
    """A measurement: its variables in the store, and how to compute them at a record.

    Attributes:
        name: as a config names it.
        variables: name, dimensions and meaning of each.
        needs: names of the quantities that it reads, as `quantities` counts them.
        compute: a record to one tensor for each variable, shape (B,) or (B, layers).
        any_loss: whether it means something under other losses than the squared one.
    """

    name: str
    variables: tuple[Variable, ...]
    needs: tuple[str, ...]
    compute: Callable[[Record], tuple[Tensor, ...]]
    any_loss: bool = True

    def measure(self, record: Record) -> tuple[Tensor, ...]:
        """Its values at a record, one tensor for each variable.

        Raises:
            UndeclaredReadError: it reads a quantity that is not among its needs.
        """
        return self.compute(declared(record, self.name, self.needs))

    @property
    def reads_weights(self) -> bool:
        """Whether it reads parameters, and not only what a sync step has made of them."""
        return not set(self.needs) <= MADE_AT_A_SYNC_STEP

    @property
    def reads_the_kernel_alone(self) -> bool:
        """Whether residuals and the tangent kernel are all that it reads of a step."""
        return set(self.needs) <= MADE_OF_THE_KERNEL


MADE_OF_THE_KERNEL = {"unit_cotangents", "kernel", "extreme_eigenvalues", "spectrum", "linearized"}
MADE_AT_A_SYNC_STEP = MADE_OF_THE_KERNEL | {
    "layer_kernels",
    "layer_eigenvalues",
    "last_hidden_eigenvalues",
    "pattern",
}
_MODULES = {
    "loss": loss,
    "kernel": kernel,
    "drift": drift,
    "patterns": patterns,
    "test_loss": held_out_loss,
    "spectrum": spectrum,
    "modes": modes,
    "subspaces": subspaces,
    "layer_kernels": layer_kernels,
    "last_hidden_kernel": last_hidden_kernel,
    "second_order": second_order,
    "linearized": linearized,
    "linearized_test": linearized_held_out,
    "du_conditions": du_conditions,
    "alignment": alignment,
    "coordinates": coordinates,
    "predictions": predictions,
    "sharpness": sharpness,
    "accuracy": accuracy,
    "test_accuracy": held_out_accuracy,
}
OF_THE_SQUARED_LOSS = ("linearized", "linearized_test", "du_conditions")
MEASUREMENTS = {
    name: Measurement(name, m.VARIABLES, m.NEEDS, m.measure, name not in OF_THE_SQUARED_LOSS)
    for name, m in _MODULES.items()
}
DEFAULT = ("loss", "kernel", "drift", "patterns")

STATUS = Variable("status", CELL, "state of the cell", dtype="int8", attributes=STATUS_FLAGS)


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The measurements of these names, each once, in the order of the list.

    Raises:
        ValueError: a name is unknown (the nearest is given), or there is none.

    >>> chosen(["drift", "loss"])
    ('loss', 'drift')
    """
    return choices.chosen(names, MEASUREMENTS)


def needs(names: Sequence[str]) -> tuple[str, ...]:
    """The quantities that these measurements read, each once.

    >>> needs(["spectrum", "modes"])
    ('unit_cotangents', 'kernel', 'spectrum')
    """
    return tuple(dict.fromkeys(need for name in chosen(names) for need in MEASUREMENTS[name].needs))


def training_variables(names: Sequence[str]) -> tuple[Variable, ...]:
    """The variables of these measurements, and the cell's status."""
    return (*(v for name in chosen(names) for v in MEASUREMENTS[name].variables), STATUS)


TRAINING_VARIABLES = training_variables(DEFAULT)

__all__ = [
    "DEFAULT",
    "MEASUREMENTS",
    "STATUS",
    "TRAINING_VARIABLES",
    "Measurement",
    "chosen",
    "needs",
    "training_variables",
]
