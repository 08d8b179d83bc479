"""A sweep that trains no further than a test lets it: its activation waits for a file.

Runs stop at the same point on a fast machine and a slow one, so that no sweep must be long to be interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_S = 240.0
LOOK_S = 0.5
SOURCE = """
import pathlib, time, torch

ALLOWED, WAITING = (pathlib.Path({folder!r}) / name for name in ("allowed", "waiting"))
calls = 0

def allowed():
    try:
        return int(ALLOWED.read_text() or 0)
    except FileNotFoundError:
        return float("inf")

def gated(z):
    global calls
    if z.ndim == 3:  # of a batch of networks: theory and checks of the function pass
        calls += 1
        while calls > allowed():
            WAITING.write_text(str(calls))
            time.sleep(0.002)
    return torch.tanh(z)
"""


class Gate:
    """The two files of a gate, and the sections of a config whose sweeps wait at it; open at first.

    Each process that trains counts its own calls of the activation and waits before the first that is not
    allowed.
    """

    def __init__(self, folder: Path) -> None:
        """Writes the module beside the config."""
        (folder / "gate.py").write_text(SOURCE.format(folder=str(folder)))
        self._allowed, self._waiting = folder / "allowed", folder / "waiting"
        self.sections: dict[str, Any] = {
            "network": {"activation": "gate:gated"},
            "grid": {"width": [8, 12], "depth": [1, 2], "seed": 2, "learning_rate": [0.5]},
            "training": {"steps": 20, "records": 6, "measure": ["loss"]},
            "initialization": None,
            "compute": {"flush_s": 1e-9, "cpus": 2},
        }

    def close(self, calls: int = 0) -> None:
        """Lets every process make so many calls."""
        self._waiting.unlink(missing_ok=True)
        beside = self._allowed.with_suffix(".new")
        beside.write_text(str(calls))
        beside.replace(self._allowed)

    def open(self) -> None:
        """Lets all of them go on."""
        self._allowed.unlink(missing_ok=True)

    @property
    def is_reached(self) -> bool:
        """Whether a process waits, or waited since the last `close`."""
        return self._waiting.exists()

    def step_until(self, condition: Callable[[], Any], *, what: str) -> Any:
        """Lets through one call after another until a condition holds, and leaves the gate closed."""
        end, calls, looked = time.monotonic() + DEADLINE_S, 0, 0.0
        self.close(calls)
        while (now := time.monotonic()) < end:
            waits = self.is_reached
            if waits or now > looked + LOOK_S:  # a process that waits changes nothing; one that runs may end
                looked = now
                if found := condition():
                    return found
            if waits:
                calls += 1
                self.close(calls)
            time.sleep(0.002)
        raise AssertionError(f"{what} did not come true in {DEADLINE_S} s and {calls} calls")
