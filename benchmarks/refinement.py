"""Seeds where they tighten a law most against seeds everywhere, on synthetic sweeps of known cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.fitting.fit import Estimate
from widesweep.analysis.laws import weight_drift
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import DONE, NOT_REQUESTED, CellSummary
from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.forecasts import Forecast, forecast_laws
from widesweep.analysis.refine.rounds import is_reached, next_round

Array = NDArray[np.float64]
CORRELATION = 0.98  # between learning rates of one seed, as measured on digits


@dataclass
class SyntheticLaw:
    """log y = slope · log m + amplitude(L) + spread(m) · noise, cells that cost m² L, and seeds on demand.

    Attributes:
        seed: of the generator: one sweep.
        widths: m.
        depths: L.
        pilot: seeds of every (width, depth) at the start.
        slope: the truth.
        spread: standard deviation of one seed's log y at the smallest width.
        trend: exponent of the spread in m.
        rates: learning rates, with correlation 0.98 between them.
    """

    seed: int
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    depths: tuple[int, ...] = (1,)
    pilot: int = 5
    slope: float = -0.5
    spread: float = 0.2
    trend: float = 0.0
    rates: int = 1
    values: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.widths), len(self.depths))
        self.seeds = np.zeros((*shape, self.rates), dtype=int)
        self.values = np.full((*shape, 0, self.rates), np.nan)
        self.spent = 0.0
        self.add(np.full(shape, self.pilot), np.ones(self.rates, dtype=bool))
        self.spent = 0.0

    @property
    def cost(self) -> Array:
        m = np.asarray(self.widths, dtype=float)[:, None] / self.widths[0]
        return np.asarray(m**2 * np.asarray(self.depths, dtype=float))

    def add(self, added: NDArray[np.int64], rates: NDArray[np.bool_]) -> None:
        """More seeds (width, depth) at some rates; all rates of a seed share most of their noise."""
        self.spent += float((added * self.cost).sum()) * int(rates.sum())
        after = self.seeds + added[..., None] * rates
        longest = int(after.max())
        grown = np.full((*self.values.shape[:2], longest, self.rates), np.nan)
        grown[:, :, : self.values.shape[2]] = self.values
        for w, d in np.argwhere(added > 0):
            for r in np.flatnonzero(rates):
                new = slice(self.seeds[w, d, r], after[w, d, r])
                grown[w, d, new, r] = self._draw(int(w), int(d), int(r), new)
        self.seeds, self.values = after, grown

    def _draw(self, w: int, d: int, r: int, seeds: slice) -> Array:
        """Seeds of one pair and rate; what is drawn depends on these alone, whoever asks first."""
        m = self.widths[w]
        shared, own = (
            np.random.default_rng([7, self.seed, w, d, stream]).standard_normal(seeds.stop)[seeds]
            for stream in (0, 1 + r)
        )
        spread = self.spread * (m / self.widths[0]) ** self.trend
        noise = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
        return np.asarray(self.slope * np.log(m) + spread * noise)

    def summary(self) -> CellSummary:
        dims = ("width", "depth", "seed", "learning_rate")
        status = np.where(np.isfinite(self.values), DONE, NOT_REQUESTED).astype(np.int8)
        cells = xr.Dataset(
            {"neuron_change_max": (dims, np.exp(self.values)), "status": (dims, status)},
            coords={"width": list(self.widths), "depth": list(self.depths)},
        )
        return CellSummary({"network": {"kind": "two_layer"}}, cells, None, None, xr.Dataset())

    def candidates(self) -> Candidates:
        shape = self.cost.shape
        return Candidates(
            np.asarray(self.widths, dtype=float),
            np.asarray(self.depths, dtype=float),
            np.arange(1.0, self.rates + 1),
            self.seeds.astype(float),
            self.cost,
            np.zeros(shape),
            np.ones(shape, dtype=bool),
        )


@dataclass(frozen=True)
class Snapshot:
    """What one look saw: what was spent so far, the interval, and what had been forecast for both."""

    spent: float
    estimate: Estimate
    forecast: float = float("nan")


def refined(sweep: SyntheticLaw, half_width: float, most_rounds: int = 12) -> Iterator[Snapshot]:
    """Looks of a sweep that is refined until its interval is as short as wanted."""
    forecast = float("nan")
    for _ in range(most_rounds):
        summary = sweep.summary()
        (finding,) = weight_drift.LAW.find(summary)
        yield Snapshot(sweep.spent, finding.estimate, forecast)
        candidates = sweep.candidates()
        (forecast,) = _forecasts(sweep, summary, [finding])
        if forecast.forecast is None or is_reached(forecast.forecast, candidates, half_width):
            return
        step = next_round([forecast.forecast], candidates, [half_width], sweep.spent)
        if step is None or not step.added.any():
            return
        forecast = step.half_widths[0]
        sweep.add(step.added, step.rates)


def _forecasts(sweep: SyntheticLaw, summary: CellSummary, law_results: list[LawResult]) -> list[Forecast]:
    widths, depths = (np.asarray(each, dtype=float) for each in (sweep.widths, sweep.depths))
    return forecast_laws(summary, law_results, widths, depths, {})


def uniform(sweep: SyntheticLaw, half_width: float) -> Iterator[Snapshot]:
    """Looks of the same sweep with as many more seeds everywhere, an eighth more each time."""
    while True:
        (finding,) = weight_drift.LAW.find(sweep.summary())
        yield Snapshot(sweep.spent, finding.estimate)
        if finding.estimate.half_width <= half_width:
            return
        more = max(1, int(sweep.seeds.max()) // 8)
        sweep.add(np.full(sweep.cost.shape, more), np.ones(sweep.rates, dtype=bool))


@dataclass(frozen=True)
class Race:
    """Both ways to one interval: cost and interval at each look."""

    refined: list[Snapshot]
    uniform: list[Snapshot]
    wanted: float

    @property
    def reached(self) -> bool:
        """Whether refining got there, rather than being told of an obstacle."""
        return self.refined[-1].estimate.half_width <= self.wanted

    @property
    def ratio(self) -> float:
        """Cost of refining over cost of seeds everywhere, each when it first had the interval."""
        return self.refined[-1].spent / self.uniform[-1].spent


def race(seed: int, shrink: float = 0.5, **options: object) -> Race:
    """One synthetic sweep, its interval shrunk by a factor in both ways from the same pilot."""
    one, other = (SyntheticLaw(seed, **options) for _ in range(2))  # type: ignore[arg-type]  # options by name
    (first,) = weight_drift.LAW.find(one.summary())
    wanted = shrink * first.estimate.half_width
    return Race(list(refined(one, wanted)), list(uniform(other, wanted)), wanted)


def figure(races: list[Race], path: str) -> None:
    """Half-width against cost, each look a point, medians of both ways as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(figsize=(3.5, 3.1), layout="constrained")
    for name, colour in (("uniform", "#D55E00"), ("refined", "#0072B2")):
        costs = np.geomspace(30, 2e4, 60)
        at = []
        for each in races:
            looks: list[Snapshot] = getattr(each, name)
            spent = np.array([look.spent for look in looks])
            half = np.array([look.estimate.half_width for look in looks]) / looks[0].estimate.half_width
            axes.plot(spent[1:], half[1:], ".", ms=1.5, alpha=0.25, color=colour)
            at.append(np.interp(np.log(costs), np.log(np.maximum(spent, 1.0)), half, right=np.nan))
        enough = np.isfinite(at).mean(0) > 0.5
        label = "seeds everywhere" if name == "uniform" else "widesweep refine"
        axes.plot(costs[enough], np.nanmedian(at, axis=0)[enough], color=colour, label=label)
    axes.set(xscale="log", xlabel="cost of added cells (1: a cell of the smallest width)")
    axes.set_ylabel("half-width of the interval (1: before)")
    axes.legend(frameon=False, fontsize=7)
    drawn.savefig(path, dpi=200)
    plt.close(drawn)


def main() -> None:
    """200 sweeps: the median ratio of costs, and the figure."""
    for widths in ((64, 128, 256, 512), (64, 128, 256, 512, 1024), (64, 128, 256, 512, 1024, 2048)):
        races = [race(seed, widths=widths) for seed in range(200)]
        done = [each for each in races if each.reached]
        low, middle, high = np.quantile([each.ratio for each in done], [0.25, 0.5, 0.75])
        head = f"widths to {widths[-1]}: {len(done)} of 200 reached"
        print(f"{head}, cost ratio {middle:.3f} ({low:.3f} to {high:.3f})", flush=True)
        if widths[-1] == 1024:
            figure(races, "docs/notes/refine.png")


if __name__ == "__main__":
    main()
