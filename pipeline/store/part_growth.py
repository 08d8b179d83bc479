"""More draws of random networks: full parts stay as they are, a last part that was not full is drawn anew."""

from __future__ import annotations

import numpy as np
import zarr

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws
from widesweep.pipeline.store import address, objects, template
from widesweep.pipeline.store.reader import Store
from widesweep.pipeline.store.schema import Group
from widesweep.workers.variable import DONE, PENDING


def reopen(store: Store, config: SweepConfig, pair_draws: np.ndarray) -> None:
    """Makes pairs whose draws grow pending, and those of their parts that change; before any array grows.

    Args:
        store: as it is.
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
        _make_pending(_array(store.url, "initialization", "status"), grown)
        if store.has_parts:
            parts = _array(store.url, "parts", "status")
            _make_pending(parts, changed)
            _make_pending(parts, grown[..., None] & _without_sums(store))

    objects.with_retries(store.url, write)


def add(store: Store, groups: dict[str, Group]) -> None:
    """The group /parts in a store of before there were parts; what is done there is not drawn again."""
    if store.has_parts:
        return
    pairs = Store(store.url).initialization_status()  # as `reopen` left it

    def write() -> None:
        root = zarr.open_group(address.zarr_store(store.url), mode="r+", use_consolidated=False)
        template.write_group(root, "parts", groups["parts"])
        status = _array(store.url, "parts", "status")
        values = np.zeros(status.shape, dtype=status.dtype)
        old = np.where(pairs == DONE, DONE, PENDING)[..., None]
        values[: pairs.shape[0], : pairs.shape[1]] = old
        status[...] = values

    objects.with_retries(store.url, write)


def _make_pending(status: zarr.Array, chosen: np.ndarray) -> None:  # type: ignore[type-arg]  # of any metadata
    """Of the chosen places those that the array has: after a growth that died it may be shorter."""
    values = np.asarray(status[...])
    place = tuple(slice(0, min(pair)) for pair in zip(values.shape, chosen.shape, strict=True))
    values[place] = np.where(chosen[place], PENDING, values[place])
    status[...] = values


def _without_sums(store: Store) -> np.ndarray:
    """Parts that count as done in a store of before there were parts, and whose sums nobody has."""
    settings = store.config.initialization
    assert settings is not None
    sums = _array(store.url, "parts", f"{settings.measure[0]}_sums")[:, :, :, 0, 0]
    return np.asarray(np.isnan(np.asarray(sums)))


def _array(url: str, group: str, name: str) -> zarr.Array:  # type: ignore[type-arg]  # of any metadata
    return zarr.open_array(address.zarr_store(url), path=f"{group}/{name}", mode="r+", zarr_format=3)
