"""What the next round adds, what that costs, and why there: from a store and what its laws say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.refine.allocation import Allocation
from analysis.refine.candidates import Candidates, widths_between_and_beyond
from analysis.refine.law_forecast import LawForecast
from pipeline import asked as asking
from pipeline import cost, data_source
from pipeline.asked import Asked, Part
from pipeline.config import SweepConfig, SweepFile
from pipeline.refine import measured_cost
from pipeline.store import Store


@dataclass(frozen=True)
class Proposal:
    """Seeds to add, group by group.

    Attributes:
        groups: of each width and depth its seeds, cost and reason, as the record and `--dry-run` show them.
        sweep: the sweep with the grid around all cells, and which of them are asked for.
        cells: trained cells that are added.
        cost_s: forecast core seconds.
        intervals: forecast length of each law's interval.
    """

    groups: list[dict[str, Any]]
    sweep: SweepFile
    cells: int
    cost_s: float
    intervals: dict[str, float]


def candidates(sweep: SweepFile, store: Store) -> Candidates:
    """Widths there, between and beyond, at the depths there, within the machine's memory.

    Depths stay as they are: a law of layers is about the deepest networks, and would become another law.
    """
    config = sweep.config
    first = dict((store.asked or asking.of_config(config)).grid)[
        "width"
    ]  # not between those of earlier rounds
    widths = np.union1d(widths_between_and_beyond(np.array(first)), config.grid.width)
    depths = np.sort(np.array(config.grid.depth, dtype=np.float64))
    grid = {"width": tuple(map(int, widths)), "depth": tuple(map(int, depths))}
    wide = config.model_copy(update={"grid": config.grid.model_copy(update=grid)})
    costs = cost.estimate(wide, data_source.data_dimensions(sweep))
    rates = len(config.grid.learning_rates)
    found = measured_cost.correct(costs.seed_s / rates, *_blocks(store, widths, depths))
    block_s = np.full(costs.seed_s.shape, found.block_s / (store.seeds_per_block or 1))
    allowed = costs.seed_bytes <= config.compute.memory_bytes
    seeds = _seeds_asked(store, widths, depths)
    return Candidates(
        widths, depths, np.sort(config.grid.learning_rates), seeds, found.cell_s, block_s, allowed
    )


def _blocks(
    store: Store, widths: np.ndarray, depths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each measured training block: flat index of its pair among candidates, cells, core seconds."""
    cells, core_s = store.block_costs()
    grid = store.config.grid
    w, d, *_ = np.indices(cells.shape)
    place = np.searchsorted(widths, grid.width)[w] * len(depths) + np.searchsorted(depths, grid.depth)[d]
    return place.ravel(), cells.ravel(), core_s.ravel()


def _seeds_asked(store: Store, widths: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Seeds already asked for at each candidate, shape (widths, depths, learning rates)."""
    asked = store.asked or asking.of_config(store.config)
    order = np.argsort(store.config.grid.learning_rates)
    inside = asked.mask(store.config).any(2).sum(2)[..., order]
    found = np.zeros((len(widths), len(depths), inside.shape[2]))
    grid = store.config.grid
    found[np.ix_(np.searchsorted(widths, grid.width), np.searchsorted(depths, grid.depth))] = inside
    return found


def propose(
    sweep: SweepFile, store: Store, where: Candidates, step: Allocation, laws: Sequence[LawForecast]
) -> Proposal:
    """Which seeds an allocation means: at each pair the first ones that were not asked for yet."""
    asked = store.asked or asking.of_config(store.config)
    mask = np.asarray(asked.mask(store.config).any(2))
    parts: list[Part] = []
    groups = []
    for w, d in np.argwhere(step.added > 0):
        width, depth, count = int(where.widths[w]), int(where.depths[d]), int(step.added[w, d])
        rates = [float(rate) for rate in where.rates[step.rates]]
        for rate in rates:
            seeds = _next_seeds(store.config, mask, width, depth, rate, count)
            parts.append(
                asking.part({"width": (width,), "depth": (depth,), "seed": seeds, "learning_rate": (rate,)})
            )
        unit_s = float(where.unit_s(step.rates)[w, d])
        groups.append(
            {
                "width": width, "depth": depth, "learning_rate": rates, "seeds": count,
                "cost_s": count * unit_s, "why": _why(where, step, laws, int(w), int(d), unit_s),
            }
        )  # fmt: skip
    cells = int(step.added.sum()) * int(step.rates.sum())
    intervals = {law.name: 2.0 * half for law, half in zip(laws, step.half_widths, strict=True)}
    grown = _grown(sweep, store, asked.with_parts(tuple(parts)))
    return Proposal(groups, grown, cells, step.cost_s, intervals)


def _next_seeds(
    config: SweepConfig, mask: np.ndarray, width: int, depth: int, rate: float, count: int
) -> tuple[int, ...]:
    """Seeds of the grid that are not asked for at a pair and rate, then numbers that are nowhere yet."""
    grid = config.grid
    free = list(grid.seeds)
    if width in grid.width and depth in grid.depth:
        w, d = grid.width.index(width), grid.depth.index(depth)
        r = grid.learning_rates.index(rate)
        free = [seed for seed, there in zip(grid.seeds, mask[w, d, :, r], strict=True) if not there]
    beyond = max(grid.seeds) + 1
    return tuple([*free, *range(beyond, beyond + count)][:count])


def _grown(sweep: SweepFile, store: Store, asked: Asked) -> SweepFile:
    """The smallest grid around all that is asked for, in the store's order, new values last."""
    axes = asking.values(store.config)
    for part in asked.parts:
        for axis, wanted in part:
            axes[axis] += [value for value in wanted if value not in set(axes[axis])]
    grid = store.config.grid.model_copy(
        update={axis: tuple(axes[axis]) for axis in ("width", "depth", "seed", "learning_rate")}
    )
    return replace(sweep, config=store.config.model_copy(update={"grid": grid}), asked=asked)


def _why(
    where: Candidates, step: Allocation, laws: Sequence[LawForecast], w: int, d: int, unit_s: float
) -> str:
    """What the law that needs a group most would lose without it."""
    without = step.added.astype(float)
    without[w, d] = 0.0
    counts = [where.counts(each, step.rates) for each in (without, step.added.astype(float))]
    worse = [float(law.half_width(counts[0]) / law.half_width(counts[1])) for law in laws]
    most = int(np.argmax(worse))
    there = "a new width" if where.seeds[w, d].max() == 0 else f"{int(where.seeds[w, d].max())} seeds there"
    return (
        f"{there}; {unit_s:.2g} s a seed; without them {laws[most].name} would have "
        f"± {worse[most] * step.half_widths[most]:.3g} instead of ± {step.half_widths[most]:.3g}"
    )
