"""A terminal that is closed under a run: what it has is flushed, and the same command goes on."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.drills.hosts import EAGER, SWEEP, differences
from tests.pipeline.conftest import ROOT, measured_bytes, start, wait_until
from tests.pipeline.conftest import write_config as write_config
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Write = Callable[..., Path]


def in_terminal(*arguments: str) -> tuple[int, int]:
    """The command in a terminal of its own, as its shell's foreground job; its process and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        environment = {**os.environ, **EAGER, "TERM": "xterm"}
        os.execve(sys.executable, [sys.executable, "-m", "widesweep", *arguments], environment)
    return pid, terminal


def drained(terminal: int) -> bytes:
    os.set_blocking(terminal, False)
    with contextlib.suppress(BlockingIOError, OSError):
        return os.read(terminal, 65536)
    return b""


@pytest.mark.parametrize("scheduler", ["local", "ray"])
def test_a_closed_terminal_flushes_and_loses_nothing(
    scheduler: str, write_config: Write, tmp_path: Path
) -> None:
    """Exit 129 within the grace, no process left; the same command ends in the bits of a calm run."""
    path, url, calm = write_config(**SWEEP), tmp_path / "small.zarr", tmp_path / "calm.zarr"
    run(sweep_config.load(path), str(calm), scheduler="local")
    pid, terminal = in_terminal("run", str(path), "--scheduler", scheduler)
    said = [b""]

    def flushed() -> bool:
        said.append(drained(terminal))
        return bool(checkpoints.names(str(url)))

    try:
        wait_until(flushed, deadline_s=300, what="a checkpoint")
        started = psutil.Process(pid).children(recursive=True)
        os.close(terminal)
        _, status = wait_until(lambda: (found := os.waitpid(pid, os.WNOHANG))[0] and found, deadline_s=120)
        assert os.waitstatus_to_exitcode(status) == 129
        wait_until(lambda: not any(each.is_running() for each in started), what="the end of its processes")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    assert checkpoints.names(str(url))
    again = start("run", str(path), "--scheduler", "local")
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert differences(url, measured_bytes(calm)) == []
