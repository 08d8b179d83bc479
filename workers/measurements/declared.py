"""A record as one measurement sees it: of the quantities, only those that its NEEDS declare can be read.

Where the chosen measurements need residuals and kernels alone, training takes several steps in one go, and
whatever else the batch holds belongs to another step. So what is not declared is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widesweep.workers.measurements.record import Record

READS = {  # attributes of a record and of its initial state, by the quantity of which each is a part
    "ensemble": "ensemble",
    "kernel": "kernel",
    "extreme_eigenvalues": "extreme_eigenvalues",
    "spectrum": "spectrum",
    "layer_kernels": "layer_kernels",
    "output_step": "output_step",
    "linearized": "linearized",
    "test": "test_outputs",
    "test_outputs": "test_outputs",
    "test_offset": "test_outputs",
    "test_kernel": "test_kernel",
    "weight_changes": "weight_changes",
    "pattern": "pattern",
    "sharpness": "sharpness",
    "pre_activations": "pre_activations",
    "frobenius_norms": "norms",
    "operator_norms": "norms",
}


class UndeclaredReadError(Exception):
    """A measurement read a quantity that it does not declare."""


class DeclaredRecord:
    """A record, or an initial state, that opens what one measurement declares."""

    def __init__(self, seen: Any, measurement: str, needs: tuple[str, ...], place: str = "record") -> None:
        """Shows part of something.

        Args:
            seen: the record or its initial state.
            measurement: the measurement's name.
            needs: the quantities that it declares.
            place: what the measurement calls it.
        """
        self._seen, self._measurement, self._needs, self._place = seen, measurement, needs, place

    def __getattr__(self, name: str) -> Any:
        """The attribute of that name.

        Raises:
            UndeclaredReadError: it is a quantity that the measurement does not declare.
        """
        quantity = READS.get(name)
        if quantity is not None and quantity not in self._needs:
            raise UndeclaredReadError(
                f"measurement '{self._measurement}' reads {self._place}.{name}, which its NEEDS do not "
                f"declare; they are {self._needs}. Add '{quantity}' to NEEDS in the measurement's file."
            )
        value = getattr(self._seen, name)
        if name == "initial":
            return DeclaredRecord(value, self._measurement, self._needs, f"{self._place}.initial")
        return value


def declared(record: Record, measurement: str, needs: tuple[str, ...]) -> Any:
    """The record as a measurement with these needs may read it."""
    return DeclaredRecord(record, measurement, needs)
