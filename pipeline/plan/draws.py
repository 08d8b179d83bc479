"""Random networks in a plan: how many parts a pair's draws make, and how many parts a block takes."""

from __future__ import annotations

import math

import numpy as np

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.workers import random_networks
from widesweep.workers.random_networks import InitializationBlock

BLOCKS_PER_CORE = 4  # as for blocks that train: the last block ends soon after the others
SHORT_BLOCK_S = 2.0
MOST_OBJECTS = 15_000  # files of sums in a store


def parts(config: SweepConfig) -> int:
    """Parts of each (width, depth); 0 without random networks."""
    if config.initialization is None:
        return 0
    return random_networks.part_count(config.initialization, config.network)


def parts_per_block(config: SweepConfig, pairs_s: np.ndarray, core_share_s: float) -> int:
    """The most parts that keep all cores busy to the end, and few files.

    Args:
        config: the sweep.
        pairs_s: seconds of each (width, depth) on one core, shape (widths, depths).
        core_share_s: seconds of the whole sweep, shared among all cores.
    """
    total = parts(config)
    if total <= 1 or config.initialization is None:
        return 1
    share_s = max(core_share_s / BLOCKS_PER_CORE, SHORT_BLOCK_S)
    balanced = int(share_s * total / max(float(pairs_s.max()), 1e-12))
    blocks = max(1, MOST_OBJECTS // ((len(config.initialization.measure) + 1) * pairs_s.size))
    wanted = min(max(balanced, math.ceil(total / blocks), 1), total)
    return math.ceil(total / math.ceil(total / wanted))


def block(
    config: SweepConfig, width: int, depth: int, x: np.ndarray | None = None, draws: int | None = None
) -> InitializationBlock:
    """The random networks of one width and depth, as workers see them, the config's or so many."""
    settings = config.initialization
    assert settings is not None
    settings = settings if draws is None else settings.model_copy(update={"draws": draws})
    return InitializationBlock(width, depth, config.network, settings, config.seed, x)


def pair_s(config: SweepConfig, width: int, depth: int) -> float:
    """Seconds that all draws of a (width, depth) take on one core."""
    return random_networks.draw_s(block(config, width, depth)) if config.initialization else 0.0


def draws_s(config: SweepConfig, width: int, depth: int, number: int) -> float:
    """Seconds that so many draws of a (width, depth) take on one core."""
    return float(part_s(config, width, depth, number).sum())


def part_s(config: SweepConfig, width: int, depth: int, number: int) -> np.ndarray:
    """Seconds of each part of so many draws of a (width, depth) on one core, shape (parts,)."""
    task = block(config, width, depth, draws=number)
    measurements = [random_networks.STATISTICS[name] for name in task.initialization.measure]
    each_s = np.array([each.draw_s(task.case) for each in measurements])
    return np.asarray(each_s @ random_networks.draws_by_part(task))


def growth_s(config: SweepConfig, width: int, depth: int, before: int, after: int) -> float:
    """Seconds of the parts that are new, or drawn anew, when the draws of a (width, depth) grow."""
    parts_s = part_s(config, width, depth, after)
    task, more = (block(config, width, depth, draws=number) for number in (max(before, 1), after))
    old, new = random_networks.draws_by_part(task), random_networks.draws_by_part(more)
    kept = np.all(old == new[:, : old.shape[1]], axis=0) if before else np.zeros(0, dtype=bool)
    return float(parts_s.sum() - parts_s[: len(kept)][kept].sum())


def parts_requested(config: SweepConfig, pair_draws: np.ndarray) -> np.ndarray:
    """Which parts each pair draws, shape (widths, depths, parts).

    Args:
        config: the sweep, with the most draws of any pair.
        pair_draws: of each pair, shape (widths, depths).
    """
    counts = np.zeros(pair_draws.shape, dtype=np.int64)
    for each in np.unique(pair_draws[pair_draws > 0]).tolist():
        counts[pair_draws == each] = parts(with_draws(config, each))
    return np.asarray(np.arange(parts(config)) < counts[..., None])


def parts_that_change(config: SweepConfig, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which parts have other draws after a growth, of those that had some, shape (widths, depths, parts).

    Args:
        config: the sweep as it was.
        before: draws of each pair, shape (widths, depths).
        after: the same once it has grown.
    """
    found = np.zeros((*before.shape, parts(config)), dtype=bool)
    for old, new in {(o, n) for o, n in zip(before.flat, after.flat, strict=True) if 0 < o < n}:
        drawn = [random_networks.draws_by_part(block(config, 1, 1, draws=int(n))) for n in (old, new)]
        changed = np.any(drawn[0] != drawn[1][:, : drawn[0].shape[1]], axis=0)
        found[(before == old) & (after == new), : len(changed)] = changed
    return found


def draws(config: SweepConfig) -> int:
    """Draws of each (width, depth); 0 without random networks."""
    return 0 if config.initialization is None else config.initialization.draws


def with_draws(config: SweepConfig, number: int) -> SweepConfig:
    """The config with so many draws of each pair."""
    assert config.initialization is not None
    settings = config.initialization.model_copy(update={"draws": number})
    return config.model_copy(update={"initialization": settings})


def with_draws_of(other: SweepConfig, config: SweepConfig) -> SweepConfig:
    """The config with the fewer draws of another, so that more draws are no difference; else as it is."""
    if config.initialization is None or not 0 < draws(other) <= draws(config):
        return config
    return with_draws(config, draws(other))


def stored_values(config: SweepConfig) -> int:
    """Numbers that a (width, depth) stores: its values, and the sums that they are made of."""
    settings = config.initialization
    if settings is None:
        return 0
    statistics: list[int] = [
        random_networks.STATISTICS[name].statistics(settings) for name in settings.measure
    ]
    values = len(random_networks.variables(settings)) * len(settings.orders)
    return values + parts(config) * (random_networks.GROUPS * sum(statistics) + 1)
