"""More draws of random networks: full parts stay as they are, a last part that was not full is drawn anew."""

from __future__ import annotations

import numpy as np
import zarr

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws
from widesweep.pipeline.store import objects
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import Store
from widesweep.workers.variable import PENDING


def reopen(store: Store, permit: Permit, config: SweepConfig, pair_draws: np.ndarray) -> None:
    """Makes pairs whose draws grow pending, and those of their parts that change; before any array grows.

    Args:
        store: as it is.
        permit: of the run that grows it.
        config: with the grid that it will have.
        pair_draws: of each pair of that grid, shape (widths, depths).
    """
    before = store.pair_draws
    after = pair_draws[tuple(slice(0, length) for length in before.shape)]
    grown = (before > 0) & (before < after)
    if not grown.any():
        return
    changed = draws.parts_that_change(store.config, before, after)

    def write() -> None:
        _make_pending(_array(permit, "initialization", "status"), grown)
        _make_pending(_array(permit, "parts", "status"), changed)

    objects.with_retries(store.url, write)


def _make_pending(status: zarr.Array, chosen: np.ndarray) -> None:  # type: ignore[type-arg]  # of any metadata
    """Of the chosen places those that the array has: after a growth that died it may be shorter."""
    values = np.asarray(status[...])
    place = tuple(slice(0, min(pair)) for pair in zip(values.shape, chosen.shape, strict=True))
    values[place] = np.where(chosen[place], PENDING, values[place])
    status[...] = values


def _array(permit: Permit, group: str, name: str) -> zarr.Array:  # type: ignore[type-arg]  # of any metadata
    return zarr.open_array(permit.zarr_store(), path=f"{group}/{name}", mode="r+", zarr_format=3)
