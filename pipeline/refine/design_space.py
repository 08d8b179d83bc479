"""Where a round may add: pairs of width and depth, what is there, what more costs, what the memory allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widesweep.analysis.refine.candidates import Candidates, between_and_beyond
from widesweep.pipeline.config.sweep_config import SweepConfig, SweepFile
from widesweep.pipeline.plan import cost, data
from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.refine import measured_cost
from widesweep.pipeline.refine.measured_cost import Blocks, Correction
from widesweep.pipeline.store.reader import Store

UNITS = 16  # of a unit of draws make those that the config asks for at a pair


@dataclass(frozen=True)
class DrawPlaces:
    """Where random networks may be drawn.

    Attributes:
        candidates: whose seeds are units of draws, on average as cheap as new ones.
        unit: draws of a unit.
        config: the sweep on the grid of the candidates.
        draws: of each pair now, shape (widths, depths).
        cost: of blocks that have drawn.
    """

    candidates: Candidates
    unit: int
    config: SweepConfig
    draws: np.ndarray
    cost: Correction

    def after(self, added: np.ndarray) -> np.ndarray:
        """Draws of each pair with so many units more, shape (widths, depths)."""
        return np.asarray(self.draws + self.unit * added)

    def cost_s(self, added: np.ndarray) -> np.ndarray:
        """Core seconds of so many units more, by pair: a last part that was not full is drawn anew."""
        found, after = np.zeros(added.shape), self.after(added)
        for w, d in np.argwhere(added > 0):
            place = self.config, int(self.candidates.widths[w]), int(self.candidates.depths[d])
            model_s = sampling.growth_s(*place, int(self.draws[w, d]), int(after[w, d]))
            found[w, d] = self.cost.block_s + self.cost.factor[w, d] * model_s
        return found


def of_seeds(sweep: SweepFile, store: Store, *, deeper: bool) -> Candidates | None:
    """Widths there, between and beyond; None where nothing trains.

    Args:
        sweep: the store's config.
        store: what has run.
        deeper: whether depths grow as widths do. Else they stay: a law of layers is about the deepest
            networks, and would become another law.
    """
    config = sweep.config
    if config.training is None:
        return None
    trained = requests.trained_pairs(store.requested, config)
    widths = _sizes(store, "width", trained, grows=True)
    depths = _sizes(store, "depth", trained, grows=deeper)
    costs = cost.estimate(_on(config, widths, depths), data.data_dimensions(sweep))
    rates = len(config.grid.learning_rates)
    found = measured_cost.correction(widths, depths, _trained_blocks(store, costs, widths, depths))
    block_s = (found.block_s + found.factor * costs.batch_s) / (store.seeds_per_block or 1)
    allowed = costs.seed_bytes <= config.compute.memory_bytes
    # Seeds requested so far at each candidate, shape (widths, depths, learning rates).
    order = np.argsort(store.config.grid.learning_rates)
    seeds = _spread(
        store, widths, depths, requests.trained_cells(store.requested, store.config).sum(2)[..., order]
    )
    each_s = found.factor * costs.seed_s / rates
    return Candidates(widths, depths, np.sort(config.grid.learning_rates), seeds, each_s, block_s, allowed)


def of_draws(sweep: SweepFile, store: Store) -> DrawPlaces | None:
    """Widths and depths there, between and beyond, of no larger L/n; None where nothing is drawn.

    Beyond the largest L/n that was drawn tails are heavier than any measured spread can tell.
    """
    config, requested = sweep.config, store.requested or requests.of_config(sweep.config)
    if config.initialization is None:
        return None
    drawn = store.pair_draws > 0
    widths = _sizes(store, "width", drawn, grows=True)
    depths = _sizes(store, "depth", drawn, grows=True)
    wide = _on(config, widths, depths)
    draws = _spread(store, widths, depths, store.pair_draws).astype(np.int64)
    unit = max(1, requested.draws // UNITS)
    unit_s = np.array([[sampling.draws_s(wide, int(m), int(d), unit) for d in depths] for m in widths])
    found = measured_cost.correction(widths, depths, drawn_blocks(store, widths, depths))
    ratio = depths / widths[:, None]
    there = Candidates(
        widths, depths, np.ones(1), draws[..., None] / unit, found.factor * unit_s, np.zeros(draws.shape),
        ratio <= ratio[draws > 0].max(),
    )  # fmt: skip
    return DrawPlaces(there, unit, wide, draws, found)


def _sizes(store: Store, axis: str, used: np.ndarray, *, grows: bool) -> np.ndarray:
    """Widths or depths, ascending: those of pairs in use, and others about those of the config itself."""
    there = np.array(getattr(store.config.grid, axis), dtype=np.float64)
    there = there[np.any(used, axis=1 if axis == "width" else 0)]
    if not grows:
        return np.sort(there)
    requested = store.requested or requests.of_config(store.config)
    new = between_and_beyond(np.array(dict(requested.grid)[axis]))  # not between those of earlier rounds
    possible = store.config.network.allowed_depths() if axis == "depth" else None
    return np.union1d(there, new if possible is None else new[np.isin(new, possible)])


def _on(config: SweepConfig, widths: np.ndarray, depths: np.ndarray) -> SweepConfig:
    grid = {"width": tuple(map(int, widths)), "depth": tuple(map(int, depths))}
    return config.model_copy(update={"grid": config.grid.model_copy(update=grid)})


def _places(store: Store, widths: np.ndarray, depths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the store's widths and depths: places among the candidates, −1 where they are none."""
    found = []
    for axis, sizes in (("width", widths), ("depth", depths)):
        there = np.array(getattr(store.config.grid, axis))
        found.append(np.where(np.isin(there, sizes), np.searchsorted(sizes, there), -1))
    return found[0], found[1]


def _spread(store: Store, widths: np.ndarray, depths: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What is known by the store's (width, depth, …) on the candidates', 0 elsewhere."""
    w, d = _places(store, widths, depths)
    found = np.zeros((len(widths), len(depths), *values.shape[2:]))
    found[np.ix_(w[w >= 0], d[d >= 0])] = values[np.ix_(w >= 0, d >= 0)]
    return found


def _trained_blocks(store: Store, costs: cost.Costs, widths: np.ndarray, depths: np.ndarray) -> Blocks:
    shape = store.plan_shape
    cells, core_s = (each[: int(np.prod(shape))] for each in store.block_costs())
    w, d = (each.ravel() for each in np.indices(shape)[:2])
    rows, columns = _places(store, widths, depths)
    good = (cells > 0) & (rows[w] >= 0) & (columns[d] >= 0)
    place = (rows[w] * len(depths) + columns[d])[good]
    rates = len(store.config.grid.learning_rates)
    model_s = costs.batch_s.ravel()[place] + cells[good] * costs.seed_s.ravel()[place] / rates
    return Blocks(place, model_s, core_s[good])


def drawn_blocks(store: Store, widths: np.ndarray, depths: np.ndarray) -> Blocks:
    """What the blocks of draws took, and what the model says of the parts that they hold."""
    config, draws, length = store.config, store.pair_draws, store.parts_per_block or 1
    parts, core_s = (each[int(np.prod(store.plan_shape)) :] for each in store.block_costs())
    rows, columns = _places(store, widths, depths)
    place, model_s = np.zeros(len(parts), dtype=np.int64), np.zeros(len(parts))
    for block in np.flatnonzero(parts > 0):
        pair, k = divmod(int(block), max(1, len(parts) // draws.size))
        w, d = divmod(pair, draws.shape[1])
        if draws[w, d] and rows[w] >= 0 and columns[d] >= 0:
            place[block] = rows[w] * len(depths) + columns[d]
            each = sampling.part_s(config, config.grid.width[w], config.grid.depth[d], int(draws[w, d]))
            own = each[k * length : (k + 1) * length]
            model_s[block] = np.sort(own)[::-1][: int(parts[block])].sum()
    return Blocks(place, model_s, core_s)
