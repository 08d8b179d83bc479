"""A small process beside a worker that kills it when a block shows no sign of life for too long.

A thread would hang with a worker that holds the interpreter, and a worker that is stopped answers nobody; a
process of its own does neither. It starts with a worker's first block that has a limit, and ends with it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator

END_S = 2.0  # longest wait for its end
_CODE = """
import os, select, sys
limit = None
while True:
    if not select.select([0], [], [], limit)[0]:
        os.kill(int(sys.argv[1]), 9)
        break
    said = os.read(0, 65536).split()
    if not said:
        break
    limit = float(said[-1]) or None
"""


class Guard:
    """Kills the process that made it unless it hears from it in time."""

    def __init__(self) -> None:
        """Starts the process beside this one; nothing is limited yet."""
        self._limit_s = 0.0
        command = [sys.executable, "-I", "-S", "-c", _CODE, str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)

    @contextlib.contextmanager
    def watching(self, limit_s: float) -> Iterator[None]:
        """Until the context ends, no more than so many seconds may pass without `alive`."""
        self._limit_s = limit_s
        self.alive()
        try:
            yield
        finally:
            self._limit_s = 0.0
            self.alive()

    def alive(self) -> None:
        """A sign of life: the time begins anew."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a guard that was killed guards nobody; the block goes on
            self._process.stdin.write(f"{self._limit_s}\n".encode())

    def end(self) -> None:
        """Lets it go: it ends once nobody can speak to it any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)


@contextlib.contextmanager
def watching(limit_s: float) -> Iterator[None]:
    """This process is killed if so many seconds pass without `alive`, until the context ends; 0: never."""
    if not limit_s:
        yield
        return
    with _guard(os.getpid()).watching(limit_s):
        yield


def alive() -> None:
    """A sign of life of this process, if it is guarded."""
    if _guard.cache_info().currsize:
        _guard(os.getpid()).alive()


@functools.lru_cache(maxsize=1)
def _guard(process: int) -> Guard:
    guard = Guard()
    atexit.register(guard.end)
    return guard
