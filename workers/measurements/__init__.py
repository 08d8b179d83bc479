"""What is measured at a recorded step; one of the list `_MODULES`, or one's own.

A config names those it wants in `training.measure`; what is not named is neither computed nor stored.

Importing this loads no torch: the driver reads the variables' names from here, workers also measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from widesweep.theory.registry import Registry, nearest
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
from widesweep.workers.measurements.quantities import QUANTITIES
from widesweep.workers.variable import CELL, STATUS_FLAGS, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record


@dataclass(frozen=True)
class Measurement:
    """A measurement: its variables in the store, and how to compute them at a record.

    Attributes:
        variables: name, dimensions and meaning of each.
        compute: a record to a tensor for each variable, shape (B,) or (B, layers): one alone, or a tuple.
        needs: names of the quantities that it reads, as `quantities` counts them.
        any_loss: whether it means something under other losses than the squared one.
        name: as a config names it.
    """

    variables: tuple[Variable, ...]
    compute: Callable[[Record], tuple[Tensor, ...] | Tensor]
    needs: tuple[str, ...] = ()
    any_loss: bool = True
    name: str = ""

    @classmethod
    def of(
        cls,
        meanings: Mapping[str, str],
        compute: Callable[[Record], tuple[Tensor, ...] | Tensor],
        needs: Sequence[str] = (),
    ) -> Measurement:
        """One of numbers for each cell and step.

        Args:
            meanings: what each variable is, with its convention, by name.
            compute: a record to a tensor for each variable, shape (B,).
            needs: as of the class.

        >>> Measurement.of({"residual_max": "max_i |r_i|"}, lambda record: record.residual.amax(1)).needs
        ()
        """
        variables = (Variable(name, (*CELL, "step"), meaning) for name, meaning in meanings.items())
        return cls(tuple(variables), compute, tuple(needs))

    def measure(self, record: Record) -> tuple[Tensor, ...]:
        """Its values at a record, one tensor for each variable.

        Raises:
            UndeclaredReadError: it reads a quantity that is not among its needs.
            ValueError: it gives something else than a number, or a row of them, for each cell.
        """
        found = self.compute(declared(record, self.name, self.needs))
        tensors, cells = found if isinstance(found, tuple) else (found,), len(record.start_of_cell)
        for variable, tensor in zip(self.variables, tensors, strict=True):
            if tensor.ndim != len(variable.dims) - len(CELL) or len(tensor) != cells:
                wanted = ", ".join((str(cells), *variable.dims[len(CELL) + 1 :]))
                shape = f"shape {tuple(tensor.shape)} where ({wanted}) is wanted"
                raise ValueError(f"measurement '{self.name}' gives {variable.name} of {shape}")
        return tensors

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
    name: Measurement(m.VARIABLES, m.measure, m.NEEDS, name not in OF_THE_SQUARED_LOSS, name)
    for name, m in _MODULES.items()
}
DEFAULT = ("loss", "kernel", "drift", "patterns")

STATUS = Variable("status", CELL, "state of the cell", dtype="int8", attributes=STATUS_FLAGS)

STOPPED = Variable(
    "stopped_at",
    CELL,
    "recorded step from which on records repeat it, where `training.until` ended a cell; else the last step",
    dtype="int64",
)


def _accepted(name: str, found: object) -> Measurement:
    """A `Measurement`, or a class or object with `variables`, `needs` and `measure`."""
    made: Any = found() if isinstance(found, type) else found
    if not isinstance(made, Measurement):
        missing = [each for each in ("variables", "measure") if not hasattr(made, each)]
        if missing:
            raise TypeError(f"it has no {' and no '.join(missing)}; a measurement has variables and measure")
        kind = Measurement.of if isinstance(made.variables, Mapping) else Measurement
        made = kind(made.variables, made.measure, tuple(getattr(made, "needs", ())))
    for need in made.needs:
        if need not in QUANTITIES:
            near = nearest(need, QUANTITIES)
            raise TypeError(f"it needs '{need}', which is none; {near or ', '.join(QUANTITIES)} is")
    for variable in made.variables:
        if variable.dims[: len(CELL) + 1] != (*CELL, "step") or not variable.name.isidentifier():
            raise TypeError(
                f"its variable '{variable.name}' is of {variable.dims}; they begin with {CELL}, step"
            )
    result: Measurement = replace(made, name=name)
    return result


OWN_MEASUREMENTS: Registry[Measurement] = Registry("measurement", _accepted, MEASUREMENTS)


def named(name: str) -> Measurement:
    """The measurement of a name; a plug-in is imported here.

    Raises:
        PlugInError: the plug-in cannot be imported, or is no measurement.
    """
    return MEASUREMENTS[name] if name in MEASUREMENTS else OWN_MEASUREMENTS.get(name)


def chosen(names: Sequence[str], *, known: bool = True) -> tuple[str, ...]:
    """The measurements of these names, each once: built-in ones in the order of the list, then one's own.

    Args:
        names: as a config gives them.
        known: whether each must be known here; a store may have been made elsewhere.

    Raises:
        ValueError: a name is unknown (the nearest is given), or there is none.

    >>> chosen(["drift", "my_lab:Largest", "loss"])
    ('loss', 'drift', 'my_lab:Largest')
    """
    own = tuple(name for name in dict.fromkeys(names) if name not in MEASUREMENTS and _is_own(name, known))
    rest = [name for name in names if name not in own]
    return (*(choices.chosen(rest, MEASUREMENTS) if rest or not own else ()), *own)


def _is_own(name: str, known: bool) -> bool:
    if not known:
        return True
    try:
        OWN_MEASUREMENTS.check(name)
    except ValueError:
        return False
    return True


def needs(names: Sequence[str]) -> tuple[str, ...]:
    """The quantities that these measurements read, each once.

    >>> needs(["spectrum", "modes"])
    ('unit_cotangents', 'kernel', 'spectrum')
    """
    return tuple(dict.fromkeys(need for name in chosen(names) for need in named(name).needs))


def training_variables(names: Sequence[str]) -> tuple[Variable, ...]:
    """The variables of these measurements, and the cell's status."""
    return (*(v for name in chosen(names) for v in named(name).variables), STATUS)


TRAINING_VARIABLES = training_variables(DEFAULT)
