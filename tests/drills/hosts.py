"""The command on a host of another name, stopped and woken as a whole; and what must be left in its store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.pipeline.conftest import ROOT, measured_bytes
from widesweep.pipeline.store import checkpoints, claim, objects
from widesweep.pipeline.store.permit import CLAIMS, WRITERS

# At such rates no cell reaches the rounding floor: every block takes all its steps.
SWEEP = {
    "grid": {"width": [32, 48], "depth": [2], "seed": 2, "learning_rate": [1e-5, 2e-5]},
    "training": {"steps": 120_000, "records": 40},
    "initialization": None,
    "compute": {"flush_s": 0.1},
}
QUIET_S = 5.0  # a worker that has computed nothing for so long has nothing to do
IDLE_CPU_S = 0.2  # but for what an idle one takes
EAGER = {"PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"}  # at 15 a busy machine gives them nothing
needs_hosts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="a host name of one's own needs root"
)


@contextlib.contextmanager
def on_host(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command under another host's name, killed with all that it started when the context ends."""
    command = [sys.executable, "-m", "widesweep", *arguments]
    process = subprocess.Popen(
        ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **EAGER},
    )
    known = [psutil.Process(process.pid)]
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            known += known[0].children(recursive=True)
        for each in known:
            with contextlib.suppress(psutil.Error):
                each.kill()
        process.communicate()


def stop_whole(pid: int) -> list[psutil.Process]:
    """SIGSTOP to a driver and to all that it started; returns them, the driver last."""
    driver, stopped = psutil.Process(pid), list[psutil.Process]()
    driver.send_signal(signal.SIGSTOP)
    while left := [each for each in driver.children(recursive=True) if each not in stopped]:
        for each in left:
            each.send_signal(signal.SIGSTOP)
        stopped += left
    return [*stopped, driver]


def work_on(workers: list[psutil.Process], harm: Callable[[], object]) -> None:
    """SIGCONT to workers, while their driver sleeps on, until they rest or have done harm."""
    for each in workers:
        each.resume()
    used, since = cpu_s(workers), time.monotonic()
    while not harm() and time.monotonic() - since < QUIET_S:
        if (now := cpu_s(workers)) - used > IDLE_CPU_S:
            used, since = now, time.monotonic()


def cpu_s(processes: list[psutil.Process]) -> float:
    """What processes have computed; one that has ended counts nothing."""
    total = 0.0
    for each in processes:
        with contextlib.suppress(psutil.Error):
            total += sum(each.cpu_times()[:2])
    return total


def executes(process: psutil.Process) -> bool:
    """Whether a process is a worker of either scheduler."""
    return process.name().startswith("ray::") or "local_worker" in " ".join(process.cmdline())


def taken_for_dead(url: Path) -> bool:
    """Whether another host may take a store over."""
    (name,) = objects.names(str(url), CLAIMS)
    holder = json.loads(objects.get(str(url), f"{CLAIMS}/{name}") or b"{}")
    return time.time() - holder["heartbeat"] > claim.STALE_S


def differences(url: Path, expected: dict[str, bytes]) -> list[str]:
    """Files of the measured groups that are not those of an undisturbed run, and what a run left behind."""
    found = measured_bytes(url)
    differ = [key for key in sorted({*found, *expected}) if found.get(key) != expected.get(key)]
    left = [
        f"{folder}/{name}"
        for folder in (WRITERS, checkpoints.PLACE)
        for name in objects.names(str(url), folder)
    ]
    return differ + left
