"""Signals as a flag: which count, which wait, and what is put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.pipeline.conftest import ROOT
from widesweep.pipeline.errors import Interrupted
from widesweep.pipeline.execution.signals import StopFlag

CHILD = "import signal; print(signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"


@pytest.fixture(autouse=True)
def a_terminal_that_may_close() -> Iterator[None]:
    """Whatever the tests were started from: under `nohup` the signal is ignored."""
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_stops_a_run_once_it_listens() -> None:
    """While its cluster starts the signal waits, and what is started then does not die of it."""
    with StopFlag() as stop:
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        assert not stop
        told = subprocess.run(
            [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert told.stdout.strip() == "True"
        stop.listen()
        assert stop.signal_number == signal.SIGHUP
        os.kill(os.getpid(), signal.SIGHUP)  # the shell's, and then the system's: no second signal
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_run_under_nohup_goes_on() -> None:
    """Who had the signal ignored wants that the run outlives the terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopFlag() as stop:
        stop.listen()
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("number", "scheduler", "code"),
    [
        (signal.SIGTERM, "1", 75), (signal.SIGTERM, "0", 143), (signal.SIGTERM, "", 143),
        (signal.SIGINT, "1", 130), (signal.SIGHUP, "1", 129),
    ],
)  # fmt: skip
def test_a_schedulers_signal_has_a_code_of_its_own(
    number: signal.Signals, scheduler: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """75 says "run me again"; Ctrl-C and a closed terminal are a person's, whatever the environment says."""
    monkeypatch.setenv("WIDESWEEP_PREEMPTIBLE", scheduler)
    assert Interrupted("a.zarr", number).exit_code == code


def test_a_scheduler_may_say_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm signals every process of a job, and its script the driver once more: blocks still flush."""
    monkeypatch.setenv("WIDESWEEP_PREEMPTIBLE", "1")
    with StopFlag() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM
