"""A sweep's store, as the driver and `status` see it: what is done, who runs it, what is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr

from pipeline import config as configs
from pipeline import store_address, store_schema
from pipeline.config import SweepConfig
from pipeline.errors import InputError
from workers.variable import DIVERGED, DONE, FAILED, PENDING

STATES = {"pending": PENDING, "done": DONE, "diverged": DIVERGED, "failed": FAILED}


class Store:
    """An existing store; metadata are read from the arrays themselves, never from consolidated copies.

    Attributes:
        url: its address.
        config: the config it was made from.
        attributes: the root's.
    """

    def __init__(self, url: str) -> None:
        """Opens a store.

        Raises:
            InputError: nothing is there, or no sweep's store.
        """
        self.url = url
        if not store_address.exists(url):
            raise InputError(
                url, "there is no store", "STORE is what `widesweep run` printed", "Nothing was read."
            )
        try:
            self._root = zarr.open_group(store_address.zarr_store(url), mode="r", use_consolidated=False)
            self.attributes: dict[str, Any] = dict(self._root.attrs)
            schema = self.attributes["schema_version"]
            if schema != store_schema.SCHEMA_VERSION:
                raise InputError(
                    url, f"its schema is {schema}", f"this code reads schema {store_schema.SCHEMA_VERSION}"
                )
            self.config: SweepConfig = configs.from_json(self.attributes["config"])
            self._groups: dict[str, Any] = {
                name: self._root[name] for name in ("run", "training", "initialization") if name in self._root
            }
        except (KeyError, ValueError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise InputError(
                url, f"it is no sweep's store ({reason})", "STORE is what `widesweep run` printed"
            ) from None

    @property
    def seeds_per_block(self) -> int | None:
        """Length of a training chunk along `seed`."""
        return int(self._array("training", "status").chunks[2]) if self.config.training else None

    @property
    def learning_rate_absolute(self) -> np.ndarray:
        """η, shape (widths, depths, learning rates)."""
        return np.asarray(self._array("training", "learning_rate_absolute")[...])

    def pending_blocks(self) -> np.ndarray:
        """Numbers of the blocks with cells that are pending, ascending; from the status arrays alone."""
        return np.flatnonzero(~self.finished_blocks())

    def finished_blocks(self) -> np.ndarray:
        """Whether each block of the plan is finished, shape (blocks,)."""
        parts = []
        if self.config.training is not None:
            parts.append(_finished(self.training_status(), self.seeds_per_block or 1))
        if self.config.initialization is not None:
            parts.append(self.initialization_status().ravel() != PENDING)
        return np.concatenate(parts)

    def training_status(self) -> np.ndarray:
        """Status of each cell, shape (widths, depths, seeds, learning rates)."""
        return np.asarray(self._array("training", "status")[...])

    def initialization_status(self) -> np.ndarray:
        """Status of the random networks, shape (widths, depths)."""
        return np.asarray(self._array("initialization", "status")[...])

    def cell_counts(self) -> dict[str, int]:
        """Cells by state: of training where there is any, else of the random networks."""
        return counts(
            self.training_status() if self.config.training is not None else self.initialization_status()
        )

    def run_attributes(self) -> dict[str, Any]:
        """What the driver last said of itself, read afresh."""
        group = zarr.open_group(
            store_address.zarr_store(self.url), path="run", mode="r", use_consolidated=False
        )
        return dict(group.attrs)

    def check_same(self, config: SweepConfig, data_hash: str, file: str) -> None:
        """Refuses to go on with another config than the store's.

        Raises:
            InputError: shows the keys that differ.
        """
        if self.attributes["config_hash"] != config.hash:
            keys = configs.differences(config, self.attributes["config"]) or ["another version wrote it"]
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            wanted = f"the store holds another sweep; {shown}"
            next_step = "Choose another --store, or take the config back. Nothing was started."
            raise InputError(file, f"it is not the config of {self.url}", wanted, next_step)
        if self.attributes.get("data_hash", "") != data_hash:
            wanted = f"the store {self.url} was made from other data"
            raise InputError(f"{file}, data.source", "the file has changed", wanted)

    def _array(self, group: str, name: str) -> Any:
        return self._groups[group][name]


def counts(status: np.ndarray) -> dict[str, int]:
    """How many cells are in each state.

    >>> counts(np.array([0, 1, 1, 3]))
    {'done': 2, 'diverged': 0, 'failed': 1, 'pending': 1}
    """
    return {
        name: int(np.count_nonzero(status == STATES[name]))
        for name in ("done", "diverged", "failed", "pending")
    }


def _finished(status: np.ndarray, seeds_per_block: int) -> np.ndarray:
    """Blocks of which no cell is pending, in the plan's order, shape (blocks,)."""
    starts = np.arange(0, status.shape[2], seeds_per_block)
    pending = np.add.reduceat((status == PENDING).sum(axis=3), starts, axis=2)
    return np.asarray(pending == 0).ravel()
