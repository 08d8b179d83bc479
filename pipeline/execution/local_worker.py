"""A worker process of this machine: it executes the blocks that the driver sends, one after another.

It ends with its driver, in the middle of a block too, and takes an interrupt while it executes a block alone.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from widesweep.pipeline.execution import worker

OOM_SCORE = "500"  # where memory runs out the system takes a worker, not the driver


def serve(pipe: Connection) -> None:
    """Executes blocks that arrive on a pipe until its other end is closed.

    Args:
        pipe: a sweep arrives, then blocks; for each block its `Outcome` goes back, or the exception that
            ended it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    arrived = queue.Queue[Any]()
    threading.Thread(target=_receive, args=(pipe, arrived), daemon=True).start()
    sweep = arrived.get()
    while True:
        # Of an exception that cannot be sent its text goes back.
        found = _execute(sweep, arrived.get())
        try:
            pipe.send(found)
        except OSError:
            os._exit(0)
        except Exception:
            pipe.send(RuntimeError(f"{type(found).__name__}: {found}"))


def _receive(pipe: Connection, arrived: queue.Queue[Any]) -> None:
    """Takes what arrives; without a driver this process ends at once, whatever it computes."""
    try:
        while True:
            arrived.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


def _execute(sweep: worker.Sweep, block: Any) -> worker.Outcome | BaseException:
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return worker.execute(sweep, block)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException as error:
        return error
