"""A real Dask cluster on this machine: a scheduler and workers, each a process under a memory limit."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from distributed import Client

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0


@contextlib.contextmanager
def cluster(
    folder: Path, *, workers: int, memory: str, checkout: Path = ROOT, preload: tuple[str, ...] = ()
) -> Iterator[str]:
    """The address of a scheduler that has all its workers; logs lie in the folder.

    Args:
        folder: of logs and spilled memory.
        workers: how many.
        memory: limit of each.
        checkout: where they stand, which is first on their path.
        preload: modules that workers import as they start.
    """
    with contextlib.ExitStack() as stack:
        place = ("--host", "127.0.0.1", "--port", "0")
        scheduler = _start(stack, checkout, folder / "scheduler.log", "scheduler", *place)
        address = _address(folder / "scheduler.log", scheduler)
        for number in range(workers):
            options = ["--nthreads", "1", "--memory-limit", memory, "--local-directory", str(folder)]
            options += [word for module in preload for word in ("--preload", module)]
            _start(stack, checkout, folder / f"worker-{number}.log", "worker", address, *options)
        with Client(address, timeout=DEADLINE_S) as client:  # type: ignore[no-untyped-call]  # untyped library
            client.wait_for_workers(workers, timeout=DEADLINE_S)  # type: ignore[no-untyped-call]  # untyped library
        yield address


def _start(stack: contextlib.ExitStack, checkout: Path, log: Path, *command: str) -> subprocess.Popen[bytes]:
    """A process that ends with the stack."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    whole = [sys.executable, "-m", "dask", *command, "--no-dashboard"]
    with log.open("w") as file:
        process = subprocess.Popen(whole, stdout=file, stderr=file, env=environment, cwd=checkout)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _address(log: Path, scheduler: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and scheduler.poll() is None:
        found = re.search(r"Scheduler at:\s+(tcp://\S+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"no scheduler: {log.read_text()[-1000:]}")
