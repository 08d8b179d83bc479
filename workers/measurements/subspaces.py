"""Residual and labels split by a cut-off on the Jacobian's singular values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.variable import CELL, Variable

if TYPE_CHECKING:
    from torch import Tensor

    from widesweep.workers.measurements.record import Record

_SPLIT = "on the {space} space of the {when} Jacobian (singular values {sign} cut-off × the largest)"
_NAMED = (("residual", "r(k)"), ("label", "y"))
_SPACES = (("information", "≥"), ("nuisance", "<"))
VARIABLES = (
    *(
        Variable(
            f"{name}_{space}_norm{suffix}",
            (*CELL, "step"),
            f"‖{symbol}‖₂ projected " + _SPLIT.format(space=space, when=when, sign=sign),
            label=f"‖{symbol}‖ on {space}" + (", now" if suffix else ""),
        )
        for suffix, when in (("", "initial"), ("_current", "current"))
        for name, symbol in _NAMED
        for space, sign in _SPACES
    ),
    Variable(
        "information_rank", (*CELL, "step"), "dimension of the information space of the current Jacobian"
    ),
)
NEEDS = ("unit_cotangents", "kernel", "spectrum")


def measure(record: Record) -> tuple[Tensor, ...]:
    """‖Π_I v‖, ‖Π_N v‖ for v = r(k), y under J(0) and J(k), and the rank of J(k) above the cut-off.

    Source: Oymak et al. 2019, arXiv:1906.05392, information and nuisance spaces.
    """
    cutoff, of_cell = record.initial.training.information_cutoff, record.start_of_cell
    spectra = (tuple(each[of_cell] for each in record.initial.spectrum), record.spectrum)
    residual, label = record.residual, record.initial.targets.expand_as(record.residual)
    norms = [
        norm
        for values, vectors in spectra
        for v in (residual, label)
        for norm in _norms(values, vectors, v, cutoff)
    ]
    return (*norms, _informative(record.spectrum[0], cutoff).sum(1).to(residual))


def _informative(values: Tensor, cutoff: float) -> Tensor:
    """Which modes have √λ ≥ cut-off · √λ_max, shape (B, n·K)."""
    return values >= cutoff**2 * values[:, -1:]


def _norms(values: Tensor, vectors: Tensor, v: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    from widesweep.workers.engine.norms import rows_times

    along = rows_times(v, vectors).square()
    informative = _informative(values, cutoff)
    return along.where(informative, 0.0).sum(1).sqrt(), along.where(~informative, 0.0).sum(1).sqrt()
