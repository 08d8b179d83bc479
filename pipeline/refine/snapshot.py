"""What is known between two rounds: the laws, what stands in their way, where seeds may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from widesweep import analysis
from widesweep.analysis.laws import iterations
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.draws import DrawsForecast
from widesweep.analysis.refine.forecasts import Forecast, draw_forecasts, forecast_laws
from widesweep.analysis.refine.law_forecast import LawForecast
from widesweep.analysis.refine.rounds import is_reached
from widesweep.pipeline.config.sweep_config import SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.refine import design_space
from widesweep.pipeline.refine.design_space import DrawPlaces
from widesweep.pipeline.refine.goal import NOTHING, Goal
from widesweep.pipeline.store.reader import Store
from widesweep.theory.registry import nearest

HALF = 0.5  # of each interval: what --dry-run shows where no goal is given
FURTHEST = 0.05  # share of each interval that a budget is spent towards
DEEPER = {iterations.NAME}  # laws on trained cells of all depths, whose x depends on the depth


@dataclass(frozen=True)
class Snapshot:
    """What is known.

    Attributes:
        store: as it is.
        sweep: its config.
        known: slope and interval of each law, for the record.
        forecasts: of the same laws.
        seeds: where seeds may go; None: nothing trains.
        draws: where random networks may be drawn; None: none are.
        goals: half-width wanted, by law.
    """

    store: Store
    sweep: SweepFile
    known: dict[str, dict[str, float]]
    forecasts: list[Forecast]
    seeds: Candidates | None
    draws: DrawPlaces | None
    goals: dict[str, float]

    @property
    def tightenable(self) -> list[LawForecast]:
        """Laws in whose way nothing stands."""
        return [p.forecast for p in self.forecasts if p.forecast is not None and not p.obstacle]

    @property
    def open(self) -> list[LawForecast]:
        """Those of them whose interval is still too long."""
        return [law for law in self.tightenable if not self._is_reached(law)]

    def open_of(self, *, draws: bool) -> list[LawForecast]:
        """Those that rest on random networks, or those on trained cells."""
        return [law for law in self.open if isinstance(law, DrawsForecast) == draws]

    def _is_reached(self, law: LawForecast) -> bool:
        draws = self.draws.candidates if self.draws is not None else None
        where = draws if isinstance(law, DrawsForecast) else self.seeds
        return where is not None and is_reached(law, where, self.goals[law.name])


def refinable(store: Store) -> SweepFile:
    """A store's own config, to go on with.

    Raises:
        InputError: it has several values of a further axis, such as α, or a plug-in that is not here.
    """
    if long := [axis.name for axis in store.config.axes if len(axis.values(store.config)) > 1]:
        found = f"it has an axis {long[0]}"
        raise InputError(store.url, found, "a sweep with one value of it", NOTHING)
    return SweepFile(store.config, store.url, Path.cwd(), store.requested).with_plug_ins()


def look_at(url: str, goal: Goal, mine: Sequence[dict[str, Any]]) -> Snapshot:
    """Fits the laws as they are and says what more seeds and draws would do.

    Args:
        url: the store.
        goal: what the rounds are after.
        mine: the rounds so far; a budget goes towards a share of the intervals before them.

    Raises:
        InputError: a law that this sweep has not.
    """
    store = Store(url)
    sweep = refinable(store)
    analysis_result = analysis.examine(url)
    law_results = _chosen(url, analysis_result.law_results, goal.laws)
    half = {f.name: f.estimate.half_width for f in law_results if np.isfinite(f.estimate.half_width)}
    goals = {name: _goal(name, now, goal, mine) for name, now in half.items()}
    deeper = bool(goal.laws) and set(goal.laws) <= DEEPER
    seeds, draws = design_space.of_seeds(sweep, store, deeper=deeper), design_space.of_draws(sweep, store)
    found = _forecasts(sweep, analysis_result.summary, law_results, seeds, draws, goals)
    known = {
        f.name: {"slope": f.estimate.value, "low": f.estimate.low, "high": f.estimate.high}
        for f in law_results
    }
    return Snapshot(store, sweep, known, found, seeds, draws, goals)


def _forecasts(
    sweep: SweepFile,
    summary: CellSummary,
    law_results: Sequence[LawResult],
    seeds: Candidates | None,
    draws: DrawPlaces | None,
    goals: dict[str, float],
) -> list[Forecast]:
    """One for each finding, in their order: on random networks, or on trained cells."""
    drawn = draw_forecasts(summary, law_results, draws.candidates) if draws is not None else []
    rest = [f for f in law_results if f.name not in {each.name for each in drawn}]
    if seeds is not None:
        condition = _condition(sweep, seeds.depths) if any(f.name in DEEPER for f in rest) else None
        drawn = drawn + forecast_laws(summary, rest, seeds.widths, seeds.depths, goals, condition)
    order = [finding.name for finding in law_results]
    return sorted(drawn, key=lambda each: order.index(each.name))


def _condition(sweep: SweepFile, depths: np.ndarray) -> np.ndarray:
    """λ_max/λ_min of the infinite-width kernel of what trains, at each depth."""
    data = data_source.load_data(sweep)
    assert data is not None
    network = sweep.config.at(sweep.config.points[0]).network
    points = network.kernel_input(data.x)
    ends = [np.linalg.eigvalsh(network.tangent_kernel(points, int(depth)))[[0, -1]] for depth in depths]
    return np.array([high / max(low, 1e-300) for low, high in ends])


def _chosen(url: str, law_results: Sequence[LawResult], names: Sequence[str]) -> list[LawResult]:
    """The findings of the laws that are wanted; all where none is named."""
    every = [f.name for f in law_results]
    for name in names:
        if name not in every:
            near = nearest(name, every)
            hint = f"the nearest is {near}" if near else f"it has {', '.join(every)}"
            raise InputError(f"--law {name}", f"{url} has no such law", hint, NOTHING)
    return [f for f in law_results if not names or f.name in names]


def _goal(name: str, now: float, goal: Goal, mine: Sequence[dict[str, Any]]) -> float:
    """The half-width wanted of a law."""
    if goal.interval is not None:
        return goal.interval / 2.0
    if goal.budget_s is None:
        return HALF * now
    before = mine[0]["known"].get(name) if mine else None
    return FURTHEST * ((before["high"] - before["low"]) / 2.0 if before else now)
