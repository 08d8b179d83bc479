"""What blocks took on this machine beside the cost model, as earlier runs here found: for forecasts alone.

Plans and blocks rest on the model's constants, so that they are the same everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

FOLDER = "WIDESWEEP_CACHE"  # environment variable: another folder than ~/.cache/widesweep
LEAST_S = 5.0  # forecast core seconds of a run that tells something
WINDOW_S = 600.0  # of forecast core seconds, the last ones: short runs beside other work weigh little


def factor() -> float:
    """Measured over forecast core seconds; 1 where no run has told."""
    forecast_s, core_s = _read()
    return core_s / forecast_s if forecast_s > 0.0 else 1.0


def note(forecast_s: float, core_s: float) -> None:
    """Keeps what a run's blocks took; nothing is said where that cannot be kept.

    Args:
        forecast_s: core seconds by the cost model.
        core_s: core seconds that they took.
    """
    if forecast_s < LEAST_S or core_s <= 0.0:
        return
    before = _read()
    kept = min(1.0, max(0.0, WINDOW_S - forecast_s) / before[0]) if before[0] > 0.0 else 0.0
    content = {"forecast_s": kept * before[0] + forecast_s, "core_s": kept * before[1] + core_s}
    with contextlib.suppress(OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".json", delete=False) as file:
            json.dump(content, file)
        Path(file.name).replace(path)


def _read() -> tuple[float, float]:
    """Forecast and measured seconds so far; zeros where nothing is known, or nothing that can be read."""
    try:
        content = json.loads(_path().read_text())
        found = float(content["forecast_s"]), float(content["core_s"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):  # the second: nobody's home is known
        return 0.0, 0.0
    return found if 0.0 < found[0] < 1e18 and 0.0 < found[1] < 1e18 else (0.0, 0.0)


def _path() -> Path:
    folder = os.environ.get(FOLDER)
    return (Path(folder) if folder else Path.home() / ".cache" / "widesweep") / "speed.json"
