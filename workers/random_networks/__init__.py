"""Random networks at initialisation: drawn in parts, most without a weight matrix, and measured.

`sample` draws some parts and returns their sums; `finish` makes of all parts' sums what is stored; `run`
is both. Sums of parts drawn by different tasks give the same bits as those of one task.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from widesweep.workers.jackknife import GROUPS, jackknife
from widesweep.workers.networks.network import Network
from widesweep.workers.random_networks import parts as grid
from widesweep.workers.random_networks.initialization_config import InitializationConfig
from widesweep.workers.random_networks.measurement import Case, Measurement
from widesweep.workers.random_networks.statistics import STATISTICS
from widesweep.workers.seeds import generator
from widesweep.workers.variable import DONE, STATUS_FLAGS, Variable

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "GROUPS",
    "STATISTICS",
    "STATUS",
    "VARIABLES",
    "InitializationBlock",
    "InitializationConfig",
    "draw_s",
    "draws_by_part",
    "finish",
    "part_count",
    "part_variables",
    "predicted",
    "run",
    "sample",
    "variables",
]

STATUS = Variable(
    "status", ("width", "depth"), "state of the random networks", dtype="int8", attributes=STATUS_FLAGS
)
_PART_STATUS = Variable(
    "status", ("width", "depth", "part"), "state of these draws", dtype="int8", attributes=STATUS_FLAGS
)


@dataclass(frozen=True)
class InitializationBlock:
    """Random networks of one width and depth.

    Attributes:
        width: neurons in each hidden layer.
        depth: hidden layers.
        network: its config.
        initialization: how many draws, what is measured.
        seed: the config's seed.
        x: training points of unit norm, shape (n, d), for measurements that need them.
    """

    width: int
    depth: int
    network: Network
    initialization: InitializationConfig
    seed: int = 0
    x: np.ndarray | None = field(default=None, compare=False)

    @cached_property
    def case(self) -> Case:
        """What measurements read."""
        return Case(self.network.sampled_as, self.width, self.depth, self.initialization, self.x)


def variables(settings: InitializationConfig) -> tuple[Variable, ...]:
    """What /initialization holds of a (width, depth): the measurements' variables, and its status."""
    return (*(v for name in settings.measure for v in STATISTICS[name].variables), STATUS)


def predicted(settings: InitializationConfig) -> tuple[Variable, ...]:
    """What /theory holds beside them."""
    return tuple(v for name in settings.measure for v in STATISTICS[name].predicted)


def part_variables(settings: InitializationConfig) -> tuple[Variable, ...]:
    """What /parts holds of each part: sums of every measurement by group, and the part's status."""
    sums = (
        Variable(
            f"{name}_sums",
            ("width", "depth", "part", "group", f"{name}_statistic"),
            f"sums over a group's draws of the statistics that {name} is made of",
        )
        for name in settings.measure
    )
    return (*sums, _PART_STATUS)


VARIABLES = variables(InitializationConfig())


def part_count(settings: InitializationConfig, network: Network) -> int:
    """Parts that the draws of a (width, depth) make: those of the measurement with most."""
    case = Case(network.sampled_as, 1, 1, settings)
    return max(
        grid.count(m.draws(settings), m.part_draws(case)) for m in (STATISTICS[n] for n in settings.measure)
    )


def draws_by_part(block: InitializationBlock) -> np.ndarray:
    """Draws of each measurement in each part, shape (measurements, parts), at any width and depth."""
    numbers = range(part_count(block.initialization, block.network))
    return np.array(
        [
            [int(_sizes(STATISTICS[name], block.case, part).sum()) for part in numbers]
            for name in block.initialization.measure
        ]
    )


def draw_s(block: InitializationBlock) -> float:
    """Seconds that all draws of a (width, depth) take on one core, predicted from stated constants."""
    settings = block.initialization
    return math.fsum(
        m.draws(settings) * m.draw_s(block.case) for m in (STATISTICS[name] for name in settings.measure)
    )


def run(block: InitializationBlock) -> xr.Dataset:
    """All parts of a (width, depth), drawn and measured here.

    For `cumulants`: κ_{2k}/K^k of one output, for one input of unit norm. Given the hidden layers, the
    output's even moments are known (Rao–Blackwell): (2k−1)!! q^k for a Gaussian output layer, those of a
    sum of random signs for `two_layer`. Their means over draws give the cumulants.

    Args:
        block: width, depth, draws and measurements.

    Returns:
        `variables` without dims width and depth; `status` a scalar.

    >>> from widesweep.workers.networks import FullyConnected
    >>> block = InitializationBlock(64, 2, FullyConnected(), InitializationConfig(draws=2000, orders=(4,)))
    >>> bool(abs(run(block).cumulant[0] - 15 * 2 / 64) < 0.2)
    True
    """
    return finish(block, sample(block, range(part_count(block.initialization, block.network))))


def sample(block: InitializationBlock, parts: Iterable[int]) -> xr.Dataset:
    """Draws some parts.

    Args:
        block: width, depth, draws and measurements.
        parts: their numbers, in any order.

    Returns:
        `part_variables` without dims width and depth.
    """
    import xarray as xr  # not at the top: a plan needs the models alone

    numbers = list(parts)
    values: dict[str, tuple[Sequence[str], np.ndarray]] = {
        f"{name}_sums": (
            ("part", "group", f"{name}_statistic"),
            np.stack([_part_sums(name, block, part) for part in numbers]),
        )
        for name in block.initialization.measure
    }
    values["status"] = (("part",), np.full(len(numbers), DONE, dtype=np.int8))
    return xr.Dataset(values, {"part": numbers})


def _part_sums(name: str, block: InitializationBlock, part: int) -> np.ndarray:
    """Sums of a part by group, shape (64, statistics); 0 where a group has no draws."""
    measurement, case = STATISTICS[name], block.case
    sums = np.zeros((GROUPS, measurement.statistics(block.initialization)))
    for group, size in enumerate(_sizes(measurement, case, part).tolist()):
        if size:
            key = (block.seed, block.width, block.depth, part, group)
            random = generator(f"random networks: {name}", *key)
            sums[group] = size * measurement.means(case, size, random)
    return sums


def _sizes(measurement: Measurement, case: Case, part: int) -> np.ndarray:
    return grid.sizes(measurement.draws(case.settings), measurement.part_draws(case), part)


def finish(block: InitializationBlock, sums: xr.Dataset) -> xr.Dataset:
    """What all parts' sums say: every measurement's values with their standard errors.

    Args:
        block: as for `sample`.
        sums: of every part, in any order.

    Returns:
        `variables` without dims width and depth.
    """
    import xarray as xr

    settings, case = block.initialization, block.case
    ordered = sums.sortby("part")
    found: dict[str, np.ndarray] = {"status": np.asarray(np.int8(DONE))}
    for name in settings.measure:
        measurement = STATISTICS[name]
        table = np.asarray(ordered[f"{name}_sums"].values)
        means, sizes = grid.pooled(table, measurement.draws(settings), measurement.part_draws(case))
        values, errors = jackknife(means, sizes, measurement.summary(case))
        found |= measurement.stored(case, values, errors)
    dims = {v.name: v.dims[2:] for v in variables(settings)}
    coordinates: dict[str, list[int]] = {}
    if "cumulants" in settings.measure:
        coordinates["order"] = list(settings.orders)
    return xr.Dataset({name: (dims[name], value) for name, value in found.items()}, coordinates)
