"""Claimed bounds: where they hold, with how much room, where they break, and where they could not fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.fitting.fit import Estimate
from widesweep.analysis.laws.kinds.law_result import (
    BROKEN,
    HOLDS,
    VACUOUS,
    Curve,
    LawResult,
    Plot,
    Series,
    undecided,
)
from widesweep.analysis.laws.kinds.points import constant
from widesweep.analysis.laws.kinds.regime import Limit, Regime
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.reading.derived import SOURCES

Array = NDArray[np.float64]

TOUCHES = 1.0  # room of a cell that lies on its bound
ROUNDING = 1e-9
LEAST_ASKED = 0.01  # a bound that asks for less than one percent of anything cannot be seen to fail


@dataclass(frozen=True)
class BoundLaw:
    """Room ≥ 1 in every cell: the bound over what it bounds, or a decay over the one that it asks for.

    Attributes:
        name: the law's name.
        title: one line for people.
        variable: the room, a number for each cell.
        y_label: axis label.
        limits: of its regime.
        asks: share of what could be asked that the bound asks for; None where it always could fail.
        source: where the bound is from.
        silent: whether it says nothing, rather than that it does not apply, where no cell concerns it.
    """

    name: str
    title: str
    variable: str
    y_label: str
    limits: tuple[Limit, ...]
    asks: str | None = None
    source: str = ""
    silent: bool = False

    expected = TOUCHES
    allowed = (TOUCHES, np.inf)

    @property
    def regime(self) -> Regime:
        """Of which sweeps and cells the law speaks."""
        return Regime(self.limits)

    @property
    def reads(self) -> tuple[str, ...]:
        """What the law looks at, as group/variable of a store."""
        return SOURCES[self.variable]

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding: the least room; none where the quantity was not measured.

        >>> import xarray as xr
        >>> BoundLaw("a", "a", "a", "a", ()).find(CellSummary({}, None, None, None, xr.Dataset()))
        []
        """
        room = self._of_cells(summary, self.variable)
        if room is None:
            return []
        known = np.isfinite(room)
        if self.silent and not known.any():
            return []
        if not known.any():
            return [undecided(self.name, self.title, TOUCHES, "No finished cell has records to compare.")]
        widths = np.asarray(summary.cells["width"].values, dtype=np.float64)  # type: ignore[index]  # `_of_cells` saw them
        least = float(room[known].min())
        verdict, note = self._verdict(summary, room, widths)
        numbers = tuple(
            (f"least room at m = {m:g}", f"{np.nanmin(of_width):.3g}")
            for m, of_width in zip(widths, room, strict=True)
            if np.isfinite(of_width).any()
        )
        none = float("nan")
        estimate = Estimate(least, none, none, none, none)
        return [
            LawResult(
                self.name, self.title, estimate, TOUCHES, TOUCHES, np.inf, none, int(known.sum()), verdict,
                note, self._plot(summary, widths, room), numbers,
            )
        ]  # fmt: skip

    def _of_cells(self, summary: CellSummary, name: str) -> Array | None:
        """A variable as (width, depth, seed, rate)."""
        if summary.cells is None or name not in summary.cells:
            return None
        values = summary.cells[name].broadcast_like(summary.cells["status"])
        return np.asarray(
            values.transpose("width", "depth", "seed", "learning_rate").values, dtype=np.float64
        )

    def _verdict(self, summary: CellSummary, room: Array, widths: Array) -> tuple[str, str]:
        known, broken = np.isfinite(room), room < TOUCHES - ROUNDING
        count, cells = int(broken.sum()), int(known.sum())
        if count:
            where = [f"{m:g}" for m in widths[np.asarray(broken.any((1, 2, 3)))]]
            share = 100.0 * (1.0 - count / cells)
            note = f"Broken in {count} of {cells} cells (holds in {share:.0f} %), at m = {', '.join(where)}."
            return BROKEN, note
        asked = self._of_cells(summary, self.asks) if self.asks else None
        if asked is not None and not (asked[known] >= LEAST_ASKED).any():
            return VACUOUS, "It could not fail here: it asks for less than 1 % in every cell."
        return HOLDS, f"In all {cells} cells; the least room is {float(room[known].min()):.3g} (1 touches)."

    def _plot(self, summary: CellSummary, widths: Array, room: Array) -> Plot:
        """Median room at each width and depth, from the least to the largest."""
        assert summary.cells is not None
        series = []
        for d, depth in enumerate(int(each) for each in summary.cells["depth"].values):
            flat = room[:, d].reshape(len(widths), -1)
            shown = (flat > 0).any(1)
            if not shown.any():
                continue
            low, middle, high = np.nanquantile(
                np.where(flat > 0, flat, np.nan)[shown], (0.0, 0.5, 1.0), axis=1
            )
            of = (("width", widths[shown]), constant("depth", depth, int(shown.sum())))
            series.append(Series(f"depth {depth}", widths[shown], middle, low, high, depth, of=of))
        ends = np.array([widths.min(), widths.max()])
        line = Curve("the bound", ends, np.ones(2))
        return Plot("width m (neurons per layer)", self.y_label, tuple(series), (line,))
