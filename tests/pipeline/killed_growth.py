"""A store that grows in a process of its own, killed by a signal at one of its operations.

The process is forked by a server that has one thread: a fork of the tests' own process, with the threads of
Ray and Zarr in it, may inherit a lock that nobody opens any more.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.store import claim, growth, objects, regrid
from widesweep.pipeline.store.reader import Store

MORE = ["grid.width=[10, 8, 12]", "grid.learning_rate=[0.5, 0.75, 1.0]", "grid.seed=[0, 1, 2, 7]"]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["__main__", __name__])


def grow(path: Path, url: str) -> None:
    """Room for the cells of MORE, and no cell computed."""
    store = Store(url)
    sweep = growth.merge(sweep_config.load(path, MORE), store, "")
    lengths = store.seeds_per_block, store.rates_per_block, store.parts_per_block
    made = data_source.make_plan(sweep, 2, *lengths)
    data = data_source.load_data(sweep)
    assert data is not None
    with claim.take(url) as mine:
        regrid.finish(mine.permit)
        regrid.grow(store, mine.permit, made, prediction.predict(sweep.config, data), data.index)


def operations(url: Path, path: Path, dies_at: int) -> int:
    """Operations of a growth on the store, the last of which kills it if there are `dies_at`: then 0."""
    reading, writing = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=_grow_counted, args=(path, str(url), dies_at, writing))
    child.start()
    writing.close()
    try:
        counted = int(reading.recv())
    except EOFError:
        counted = 0
    reading.close()
    child.join()
    assert child.exitcode == (0 if counted else -signal.SIGKILL)
    child.close()
    return counted


def _grow_counted(path: Path, url: str, dies_at: int, writing: Connection) -> None:
    real, count = objects.with_retries, [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread().name == "claim":  # the heartbeat, whose number depends on the clock
            return real(*arguments, **options)
        count[0] += 1
        if count[0] == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    objects.with_retries = counted
    grow(path, url)
    writing.send(count[0])
