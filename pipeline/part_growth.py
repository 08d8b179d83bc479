"""More draws of random networks: full parts stay as they are, a last part that was not full is drawn anew."""

from __future__ import annotations

import numpy as np
import zarr

from pipeline import sampling, storage, store_address, store_create
from pipeline.plan import Plan
from pipeline.store import Store
from pipeline.store_schema import Group
from workers.variable import DONE, PENDING


def reopen(store: Store, plan: Plan) -> None:
    """Makes the pairs pending, and those of their parts whose draws grow; before anything is lengthened."""
    if not store.has_parts or sampling.draws(plan.config) == sampling.draws(store.config):
        return
    changed = sampling.parts_that_change(store.config, plan.config)

    def write() -> None:
        _status(store.url, "initialization")[...] = PENDING
        parts = _status(store.url, "parts")
        values = np.asarray(parts[...])
        values[:, :, changed] = PENDING
        parts[...] = values

    storage.patiently(store.url, write)


def add(store: Store, groups: dict[str, Group]) -> None:
    """The group /parts in a store of before there were parts; what is done there is not drawn again."""
    if store.has_parts:
        return
    pairs = store.initialization_status()

    def write() -> None:
        root = zarr.open_group(store_address.zarr_store(store.url), mode="r+", use_consolidated=False)
        store_create.write_group(root, "parts", groups["parts"])
        status = _status(store.url, "parts")
        values = np.zeros(status.shape, dtype=status.dtype)
        old = np.where(pairs == DONE, DONE, PENDING)[..., None]
        values[: pairs.shape[0], : pairs.shape[1]] = old
        status[...] = values

    storage.patiently(store.url, write)


def _status(url: str, group: str) -> zarr.Array:  # type: ignore[type-arg]
    return zarr.open_array(store_address.zarr_store(url), path=f"{group}/status", mode="r+", zarr_format=3)
