"""A law of one's own, as `analyze` takes it."""

from __future__ import annotations

from typing import Protocol

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary


class Law(Protocol):
    """From a summary of a sweep's cells to results; a class without arguments, or an object.

    Attributes:
        reads: the measured variables that `summary.cells` must have, at the last record.

    >>> class Shrinks(Law):
    ...     reads = ("loss",)
    ...     def find(self, summary):
    ...         return []
    >>> Shrinks().find(None)
    []
    """

    reads: tuple[str, ...]

    def find(self, summary: CellSummary) -> list[LawResult]:
        """Results, one for each name; none where the sweep has not what the law reads.

        Args:
            summary: cells, fits and predictions.
        """
