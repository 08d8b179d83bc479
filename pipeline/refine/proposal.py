"""What the next round adds, what that costs, and why there: from a store and what its laws say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widesweep.analysis.refine.allocation import Allocation
from widesweep.analysis.refine.candidates import Candidates
from widesweep.analysis.refine.law_forecast import LawForecast
from widesweep.pipeline.config.region import Draws, Part, part
from widesweep.pipeline.config.sweep_config import SweepConfig, SweepFile
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.refine.design_space import DrawPlaces
from widesweep.pipeline.store.reader import Store


@dataclass(frozen=True)
class Step:
    """Seeds or draws to add, and the laws that they are for.

    Attributes:
        allocation: how many, and where.
        laws: in the order of its half-widths.
        places: where draws may go; None: it adds seeds.
    """

    allocation: Allocation
    laws: Sequence[LawForecast]
    places: DrawPlaces | None = None


@dataclass(frozen=True)
class Proposal:
    """Cells and draws to add.

    Attributes:
        sweep: the sweep with the grid around all cells, and which of them are asked for.
        shown: what the record, `--json` and `--dry-run` show. `proposed`: seeds or draws, cost and reason of
            each width and depth. `cells`: trained ones. `interval_forecast`, by law: as often more as less is
            measured; without laws whose spread is not known well enough for nine forecasts of ten to be
            within 25 %. `seeds_for_forecast`: of these laws, at each pair, with which it would be.
            `interval_band`: between which lengths it comes with 90 %.
    """

    sweep: SweepFile
    shown: dict[str, Any]


def propose(sweep: SweepFile, store: Store, where: Candidates | None, steps: Sequence[Step]) -> Proposal:
    """Which seeds and draws some steps mean: at each pair the first seeds that were not asked for yet."""
    requested = store.requested or requests.of_config(store.config)
    groups: list[dict[str, Any]] = []
    parts: list[Part] = []
    more: list[Draws] = []
    cells = 0
    for step in steps:
        if step.places is not None:
            found, drawn = _draws(step, step.places)
            groups, more = groups + found, more + drawn
        elif where is not None:
            seeds, new = _seeds(store, step, where)
            groups, parts = groups + seeds, parts + new
            cells += int(step.allocation.added.sum()) * int(step.allocation.rates.sum())
    after = [
        (law.name, each, s) for s in steps for law, each in zip(s.laws, s.allocation.predicted, strict=True)
    ]
    needed = {
        name: each.seeds_needed(_fewest(where))
        for name, each, s in after
        if s.places is None and where is not None and not each.is_sure
    }
    requested = requested.with_more(tuple(parts), tuple(more))
    grown = replace(sweep, config=_around(store.config, parts, more), requested=requested)
    shown = {
        "proposed": groups,
        "cells": cells,
        "cost_forecast_s": sum(group["cost_s"] for group in groups),
        "interval_forecast": {name: 2.0 * each.median for name, each, _ in after if each.is_sure},
        "interval_band": {name: [2.0 * each.low, 2.0 * each.high] for name, each, _ in after},
        "seeds_for_forecast": needed,
    }
    return Proposal(grown, shown)


def _fewest(where: Candidates) -> float:
    """Seeds of the pair that has fewest, of those that have any."""
    seeds = where.seeds.max(-1)
    return float(seeds[seeds > 0].min())


def again(sweep: SweepFile, text: str) -> SweepFile:
    """The sweep of a round that was recorded with what it asks for, whether or not the store knows of it."""
    requested = requests.read({requests.ATTRIBUTE: text})
    assert requested is not None
    return replace(sweep, config=_around(sweep.config, requested.parts, requested.more), requested=requested)


def seeds_s(store: Store, where: Candidates, added: Allocation) -> np.ndarray:
    """Core seconds of seeds, shape (widths, depths): a block that gets few costs a full one's overhead."""
    mask = requests.trained_cells(store.requested, store.config)
    found = np.zeros(added.added.shape)
    for w, d in np.argwhere(added.added > 0).tolist():
        seeds = _seeds_by_rate(store.config, mask, where, added, w, d)
        blocks_s = where.block_s[w, d] * (store.seeds_per_block or 1) * len(_blocks(store, seeds))
        found[w, d] = blocks_s + sum(map(len, seeds.values())) * where.seed_s[w, d]
    return found


def _seeds(store: Store, step: Step, where: Candidates) -> tuple[list[dict[str, Any]], list[Part]]:
    """Groups of seeds, and the same as parts of the grid."""
    groups, parts, added = [], [], step.allocation
    mask, cost_s = requests.trained_cells(store.requested, store.config), seeds_s(store, where, added)
    for w, d in np.argwhere(added.added > 0).tolist():
        width, depth, count = int(where.widths[w]), int(where.depths[d]), int(added.added[w, d])
        by_rate = _seeds_by_rate(store.config, mask, where, added, w, d)
        for rate, seeds in by_rate.items():
            axes = {"width": (width,), "depth": (depth,), "seed": seeds, "learning_rate": (rate,)}
            parts.append(part(axes))
        pair_s, there = float(cost_s[w, d]), int(where.seeds[w, d].max())
        told = f"{there} seeds there" if there else "a new width and depth"
        why = f"{told}; {pair_s / count:.2g} s a seed; {_why(where, step, w, d)}"
        group = {"width": width, "depth": depth, "learning_rate": list(by_rate), "seeds": count}
        groups.append(group | {"cost_s": pair_s, "why": why})
    return groups, parts


def _draws(step: Step, places: DrawPlaces) -> tuple[list[dict[str, Any]], list[Draws]]:
    """Groups of draws, and how many each of their pairs has then."""
    where, groups, more, added = places.candidates, [], [], step.allocation.added
    after, cost_s = places.after(added), places.cost_s(added)
    for w, d in np.argwhere(added > 0).tolist():
        width, depth, total = int(where.widths[w]), int(where.depths[d]), int(after[w, d])
        there = int(places.draws[w, d])
        why = f"{there:,} draws there; {_why(where, step, w, d)}"
        group = {"width": width, "depth": depth, "draws": total - there, "cost_s": float(cost_s[w, d])}
        groups.append(group | {"why": why})
        more.append((width, depth, total))
    return groups, more


def _seeds_by_rate(
    config: SweepConfig, mask: np.ndarray, where: Candidates, added: Allocation, w: int, d: int
) -> dict[float, tuple[int, ...]]:
    width, depth, count = int(where.widths[w]), int(where.depths[d]), int(added.added[w, d])
    rates = [float(rate) for rate in where.rates[added.rates]]
    return {rate: _next_seeds(config, mask, width, depth, rate, count) for rate in rates}


def _blocks(store: Store, seeds: dict[float, tuple[int, ...]]) -> set[tuple[int, int]]:
    """Blocks of a pair that seeds at some learning rates lie in; seeds that are new go after the others."""
    grid = store.config.grid
    lengths = store.seeds_per_block or 1, store.rates_per_block or 1
    place = {seed: k for k, seed in enumerate(grid.seeds)}
    beyond = max(grid.seeds) + 1
    return {
        (
            place.get(seed, len(place) + seed - beyond) // lengths[0],
            grid.learning_rates.index(rate) // lengths[1],
        )
        for rate, each in seeds.items()
        for seed in each
    }


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


def _around(config: SweepConfig, parts: Sequence[Part], more: Sequence[Draws]) -> SweepConfig:
    """The smallest grid around all that is requested."""
    axes = requests.values(config)
    wanted = [*parts, *(part({"width": (w,), "depth": (d,)}) for w, d, _ in more)]
    for each in wanted:
        for axis, values in each:
            axes[axis] += [value for value in values if value not in set(axes[axis])]
    names = ("width", "depth", "seed", "learning_rate") if config.training else ("width", "depth")
    grid = config.grid.model_copy(update={axis: tuple(sorted(axes[axis])) for axis in names})
    return config.model_copy(update={"grid": grid})


def _why(where: Candidates, step: Step, w: int, d: int) -> str:
    """What the law that needs a group most would lose without it."""
    added, laws = step.allocation, step.laws
    without = added.added.astype(float)
    without[w, d] = 0.0
    counts = [where.counts(each, added.rates) for each in (without, added.added.astype(float))]
    worse = [float(law.half_width(counts[0]) / law.half_width(counts[1])) for law in laws]
    most = int(np.argmax(worse))
    name, factor, half = laws[most].name, worse[most], added.half_widths[most]
    if not np.isfinite(factor):
        return f"without them {name} would have no interval"
    if not added.predicted[most].is_sure:  # lengths themselves are not told then
        return f"without them the interval of {name} would be {factor:.2f} times as long"
    return f"without them {name} would have ± {factor * half:.3g} instead of ± {half:.3g}"
