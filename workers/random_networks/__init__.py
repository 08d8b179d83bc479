"""Random networks at initialisation: cumulants of one output, sampled without a weight matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from workers.cumulants import GROUPS, jackknife
from workers.networks.base import Network
from workers.networks.two_layer import TwoLayer
from workers.random_networks import conditional_variance, signed_sum
from workers.variable import DONE, STATUS_FLAGS, Variable

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["VARIABLES", "InitializationBlock", "InitializationConfig", "run"]

_PLACE = ("width", "depth", "order")
VARIABLES = (
    Variable("cumulant", _PLACE, "κ_order / K^(order/2) of one output over random networks, K its variance"),
    Variable("cumulant_standard_error", _PLACE, "its standard error, jackknife over 64 groups of draws"),
    Variable("draws", _PLACE, "number of random networks drawn", dtype="int64"),
    Variable("status", _PLACE[:2], "state of the random networks", dtype="int8", attributes=STATUS_FLAGS),
)  # fmt: skip


class InitializationConfig(BaseModel):
    """Random networks, no training: how many, and which cumulants of their output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    draws: Annotated[int, Field(ge=1000, le=10**12, strict=True)] = 1_000_000
    orders: tuple[Annotated[int, Field(ge=4, le=8, multiple_of=2, strict=True)], ...] = (4, 6, 8)

    @field_validator("orders")
    @classmethod
    def _orders_are_unique(cls, orders: tuple[int, ...]) -> tuple[int, ...]:
        if not orders or len(set(orders)) < len(orders):
            raise ValueError("orders are even integers from 4 to 8, each once, at least one")
        return orders


@dataclass(frozen=True)
class InitializationBlock:
    """Random networks of one width and depth.

    Attributes:
        width: neurons in each hidden layer.
        depth: hidden layers.
        network: its config.
        initialization: how many draws, which orders.
        seed: the config's seed.
    """

    width: int
    depth: int
    network: Network
    initialization: InitializationConfig
    seed: int = 0


def run(block: InitializationBlock) -> xr.Dataset:
    """Cumulants κ_{2k}/K^k of one output of random networks, for one input of unit norm.

    Given the hidden layers, the output's even moments are known (Rao–Blackwell): (2k−1)!! q^k for a Gaussian
    output layer, those of a sum of random signs for `two_layer`. Their means over draws give the cumulants.

    Args:
        block: width, depth and draws.

    Returns:
        `VARIABLES` with dims (order), `status` a scalar.

    >>> from workers.networks import FullyConnected
    >>> block = InitializationBlock(64, 2, FullyConnected(), InitializationConfig(draws=2000, orders=(4,)))
    >>> bool(abs(run(block).cumulant[0] - 15 * 2 / 64) < 0.2)
    True
    """
    import xarray as xr  # not at the top: a plan needs the models alone

    orders, draws = block.initialization.orders, block.initialization.draws
    highest = max(orders) // 2
    network = block.network.sampled_as
    sampler = signed_sum if isinstance(network, TwoLayer) else conditional_variance
    key = (block.seed, block.width, block.depth)
    sizes = np.full(GROUPS, draws // GROUPS) + (np.arange(GROUPS) < draws % GROUPS)
    means = np.stack(
        [
            sampler.group_means(network, block.width, block.depth, int(size), highest, (*key, group))
            for group, size in enumerate(sizes)
        ]
    )
    value, error = jackknife(means, sizes, sampler.normalised_cumulants)
    chosen = [order // 2 for order in orders]
    return xr.Dataset(
        {
            "cumulant": ("order", value[chosen]),
            "cumulant_standard_error": ("order", error[chosen]),
            "draws": ("order", np.full(len(orders), draws, dtype=np.int64)),
            "status": ((), np.int8(DONE)),
        },
        {"order": list(orders)},
    )
