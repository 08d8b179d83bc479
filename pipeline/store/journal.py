"""The group /run: what a driver says of itself while it works. It alone writes there."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import numpy as np
import zarr

from widesweep.pipeline.store import encoding, objects, provenance
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.schema import BLOCK_VARIABLES

BEATS = 10  # of a heartbeat between two writes of the blocks' times


class Journal:
    """Keeps /run up to date: at each beat of the claim's heart, blocks' times now and then and at the end."""

    def __init__(self, permit: Permit) -> None:
        """Says that a run begins; elapsed time adds up over runs."""
        self._url = permit.url
        self._group: Any = objects.with_retries(permit.url, lambda: _open(permit))
        before: dict[str, Any] = dict(self._group.attrs.asdict())
        self._elapsed_before_s = float(before.get("elapsed_s", 0.0))
        self._arrays = {v.name: self._group[v.name] for v in BLOCK_VARIABLES}
        self._values = {name: np.asarray(array[...]) for name, array in self._arrays.items()}
        self._core_s = float(before.get("core_s", 0.0))
        self._clock = time.monotonic()
        self._started = time.time()
        self.remaining_s: float | None = None
        first: dict[str, Any] = {} if "code_digest" in before else provenance.attributes()
        self._write("running", {**first, "checksums": None})
        self._beats, self._closed, self._lock = 0, False, threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Time of all runs of this store until now."""
        return self._elapsed_before_s + time.monotonic() - self._clock

    def started(self, block: int) -> None:
        """Counts an attempt of a block."""
        self._values["block_attempts"][block] += 1

    def finished(self, block: int, wall_s: float, core_s: float, cells: int, device: str) -> None:
        """Notes how long a block took in its worker, for how many cells, and on what device."""
        self._core_s += core_s
        found = {"block_wall_s": wall_s, "block_core_s": core_s, "block_cells": cells}
        found["block_device"] = 2 if device.startswith("cuda") else 1
        for name, value in found.items():
            self._values[name][block] = value

    def beat(self) -> None:
        """Writes how far the run is, until it is closed."""
        with self._lock:
            if not self._closed:
                self._beats += 1
                self._write("running", patience_s=0.0)
                if self._beats % BEATS == 0:
                    self._write_blocks(patience_s=0.0)

    def close(self, state: str) -> None:
        """Writes the end: `finished`, `interrupted` or `failed`."""
        with self._lock:
            self._closed = True
            self._write_blocks()
            # What failed under other code is still to be retried after an interrupted run.
            more: dict[str, Any] = {} if state == "interrupted" else provenance.attributes()
            self._write(state, {**more, "checksums": self._checksums()})

    def _write(
        self, state: str, more: dict[str, Any] | None = None, patience_s: float = objects.PATIENCE_S
    ) -> None:
        values = {
            **(more or {}),
            "state": state,
            "heartbeat": time.time(),
            "started": self._started,
            "elapsed_s": self.elapsed_s,
            "core_s": self._core_s,
            "remaining_s": self.remaining_s,
        }
        objects.with_retries(self._url, lambda: self._group.update_attributes(values), patience_s)

    def _checksums(self) -> dict[str, str]:
        """What the chunks of the blocks' times end with."""
        keys = [encoding.key(array, (0,)) for array in self._arrays.values()]
        return {key: encoding.checksum(content) for key, content in objects.get_many(self._url, keys)}

    def _write_blocks(self, patience_s: float = objects.PATIENCE_S) -> None:
        for name, values in self._values.items():
            if values.size:
                write = partial(self._arrays[name].set_basic_selection, ..., values)
                objects.with_retries(self._url, write, patience_s)


def _open(permit: Permit) -> Any:
    return zarr.open_group(permit.zarr_store(), path="run", mode="r+", use_consolidated=False)
