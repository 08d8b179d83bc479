"""Random networks in a plan: how many parts a pair's draws make, and how many parts a block takes."""

from __future__ import annotations

import math

import numpy as np

from pipeline.config import SweepConfig
from workers import random_networks
from workers.random_networks import InitializationBlock

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


def block(config: SweepConfig, width: int, depth: int, x: np.ndarray | None = None) -> InitializationBlock:
    """The random networks of one width and depth, as workers see them."""
    assert config.initialization is not None
    return InitializationBlock(width, depth, config.network, config.initialization, config.seed, x)


def pair_s(config: SweepConfig, width: int, depth: int) -> float:
    """Seconds that all draws of a (width, depth) take on one core."""
    return random_networks.draw_s(block(config, width, depth)) if config.initialization else 0.0


def parts_that_change(old: SweepConfig, new: SweepConfig) -> np.ndarray:
    """Whether each part of `old` has other draws in `new`, shape (parts,): a last part that was not full."""
    before, after = (random_networks.draws_by_part(block(config, 1, 1)) for config in (old, new))
    return np.asarray(np.any(before != after[:, : before.shape[1]], axis=0))


def draws(config: SweepConfig) -> int:
    """Draws of each (width, depth); 0 without random networks."""
    return 0 if config.initialization is None else config.initialization.draws


def with_draws_of(other: SweepConfig, config: SweepConfig) -> SweepConfig:
    """The config with the fewer draws of another, so that more draws are no difference; else as it is."""
    if config.initialization is None or not 0 < draws(other) <= draws(config):
        return config
    settings = config.initialization.model_copy(update={"draws": draws(other)})
    return config.model_copy(update={"initialization": settings})


def stored_values(config: SweepConfig) -> int:
    """Numbers that a (width, depth) stores: its values, and the sums that they are made of."""
    settings = config.initialization
    if settings is None:
        return 0
    statistics: list[int] = [
        random_networks.MEASUREMENTS[name].statistics(settings) for name in settings.measure
    ]
    values = len(random_networks.variables(settings)) * len(settings.orders)
    return values + parts(config) * (random_networks.GROUPS * sum(statistics) + 1)
