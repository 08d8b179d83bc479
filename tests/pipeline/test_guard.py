"""The guard beside a worker: it ends with it, and without a word; that it kills is in `test_faults`."""

from __future__ import annotations

import subprocess
import sys

import psutil

GUARDED = """
import psutil
from widesweep.pipeline.execution import guard
with guard.watching(60.0):
    (beside,) = psutil.Process().children()
    print(beside.pid)
"""


def test_a_guard_ends_with_its_process_and_without_a_word() -> None:
    """Python's warning of a process that still runs would be on standard error."""
    done = subprocess.run([sys.executable, "-W", "always", "-c", GUARDED], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert not psutil.pid_exists(int(done.stdout))
