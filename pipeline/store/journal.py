"""The group /run: what a driver says of itself while it works. It alone writes there."""

from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import psutil
import zarr

from widesweep.pipeline.errors import PermitLostError, StorageError
from widesweep.pipeline.store import objects, provenance
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.schema import BLOCK_VARIABLES

HEARTBEAT_S = 2.0
FRESH_S = 30.0  # a heartbeat older than this means that the driver is gone


def is_running(attributes: dict[str, Any]) -> bool:
    """Whether the driver that wrote these lives: a fresh heartbeat and, on this host, a process."""
    if attributes.get("state") != "running" or time.time() - float(attributes.get("heartbeat", 0)) > FRESH_S:
        return False
    return attributes.get("host") != socket.gethostname() or _lives(int(attributes.get("pid", -1)))


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, ValueError):
        return False


class Journal:
    """Keeps /run up to date: a heartbeat by a thread, blocks' times now and then and at the end."""

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
        self._write("running", {} if "code_digest" in before else provenance.attributes())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

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

    def close(self, state: str) -> None:
        """Stops the heartbeat and writes the end: `finished`, `interrupted` or `failed`."""
        self._stop.set()
        self._thread.join()
        self._write_blocks()
        # What failed under other code is still to be retried after an interrupted run.
        self._write(state, {} if state == "interrupted" else provenance.attributes())

    def _beat(self) -> None:
        beats = 0
        while not self._stop.wait(HEARTBEAT_S):
            beats += 1
            try:
                self._write("running")
                if beats % 15 == 0:
                    self._write_blocks()
            except PermitLostError:
                return
            except StorageError:
                continue  # the next beat tries again; a reader sees a heartbeat that is late

    def _write(self, state: str, more: dict[str, str] | None = None) -> None:
        values = {
            **(more or {}),
            "state": state,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "heartbeat": time.time(),
            "started": self._started,
            "elapsed_s": self.elapsed_s,
            "core_s": self._core_s,
            "remaining_s": self.remaining_s,
        }
        objects.with_retries(self._url, lambda: self._group.update_attributes(values))

    def _write_blocks(self) -> None:
        for name, values in self._values.items():
            if values.size:
                objects.with_retries(self._url, partial(self._arrays[name].set_basic_selection, ..., values))


def _open(permit: Permit) -> Any:
    return zarr.open_group(permit.zarr_store(), path="run", mode="r+", use_consolidated=False)
