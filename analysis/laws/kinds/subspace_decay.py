"""The residual's information part falls at least as fast as the cut-off's mode, its nuisance part at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge, undecided
from widesweep.analysis.laws.kinds.points import cell_axes, coordinates
from widesweep.analysis.laws.kinds.regime import NTK, SQUARED, STABLE, STANDARD, Regime, scaled
from widesweep.analysis.laws.own_kernel import FEWEST_NETWORKS, median_interval
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.reading.derived import SOURCES

Array = NDArray[np.float64]

TOLERANCE = 0.05  # what a kernel that moves a little may add


@dataclass(frozen=True)
class SubspaceDecay:
    """Decay until 1/(ηλ_c) in units of the cut-off's mode: ≥ 1 on the information space, ≤ 1 on the nuisance.

    Exact for a kernel that does not move; where it moves, as in rich training, the nuisance part falls faster
    and the law fails.

    Attributes:
        space: information or nuisance.
        allowed: least and largest decay that theory allows.

    Source: Oymak et al. 2019, arXiv:1906.05392, the linearised problem.
    """

    space: str
    allowed: tuple[float, float]

    @property
    def name(self) -> str:
        """The law's name."""
        return f"{self.space}_decay"

    @property
    def title(self) -> str:
        """One line for people."""
        bound = "at least" if self.space == "information" else "at most"
        return f"The residual's {self.space} part falls {bound} as fast as the mode at the cut-off"

    @property
    def regime(self) -> Regime:
        """Lazy training; `derived` gives the decays of gradient descent alone."""
        return Regime((scaled((NTK, STANDARD), ""), SQUARED, STABLE))

    @property
    def reads(self) -> tuple[str, ...]:
        """What the law looks at, as group/variable of a store."""
        return SOURCES[self.name]

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding; none where the spaces were not measured."""
        cells = summary.cells
        if cells is None or self.name not in cells:
            return []
        decay = np.asarray(cells[self.name].transpose("width", "depth", "seed", "learning_rate").values)
        count = np.isfinite(decay).sum(3)
        networks = (np.where(np.isfinite(decay), decay, 0.0).sum(3) / np.maximum(count, 1))[count > 0]
        points = int(count.sum())
        if len(networks) < FEWEST_NETWORKS:
            reason = f"{len(networks)} networks have both spaces measured; {FEWEST_NETWORKS} are needed."
            return [undecided(self.name, self.title, 1.0, reason, points)]
        estimate = median_interval(networks)
        low, high = (self.allowed[0] * (1.0 - TOLERANCE), self.allowed[1] * (1.0 + TOLERANCE))
        verdict, power = judge(estimate, low, high, resolution=np.inf)
        kept = float(np.mean((networks >= low) & (networks <= high)))
        note = f"{power} It holds in {100 * kept:.0f} % of {len(networks)} networks."
        return [
            LawResult(
                self.name, self.title, estimate, 1.0, low, high, float("nan"), points, verdict, note,
                self._plot(cells, decay),
            )
        ]  # fmt: skip

    def _plot(self, cells: xr.Dataset, decay: Array) -> Plot:
        """Every cell against its width, and the cut-off's own decay."""
        widths = np.asarray(cells["width"].values, dtype=np.float64)
        series = []
        for d, depth in enumerate(int(d) for d in cells["depth"].values):
            y = decay[:, d]
            ok = np.isfinite(y) & (y > 0)
            if ok.any():
                x, of = widths[np.nonzero(ok)[0]], coordinates(ok, *cell_axes(cells, depth))
                series.append(Series(f"depth {depth}", x, y[ok], y[ok], y[ok], depth, True, of=of))
        ends = np.array([widths.min(), widths.max()])
        guide = Curve("the cut-off's mode", ends, np.ones(2))
        return Plot("width m (neurons per layer)", f"decay of the {self.space} part", tuple(series), (guide,))
