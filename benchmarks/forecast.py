"""What `widesweep plan` forecasts beside what the same command then takes, on one core and on all of them.

From the repository's root: python -m benchmarks.forecast
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.narrow_cells import CONFIG as NARROW
from widesweep.pipeline.plan import machine_speed

WIDE = """
name: wide-cells
network: {kind: fully_connected, weight_variance: 2.0}
data: {source: digits, samples: 32}
grid: {width: [512, 1024], depth: [2, 3], seed: 8, learning_rate: [0.5]}
training: {steps: 400, records: 24}
store: wide.zarr
"""
DEMO = Path("configs/demo.yaml")
WANTED = 0.15  # a forecast may be off by this share
COMMAND = Path(sys.executable).with_name("widesweep")


def sweeps() -> dict[str, str]:
    """Configs by name."""
    return {"narrow cells": NARROW, "wide cells": WIDE, "the demo": DEMO.read_text()}


def forecast_and_wall_s(text: str, cores: int, folder: Path) -> tuple[float, float]:
    """Seconds as `plan` says and as `run` takes, the whole command."""
    (folder / "sweep.yaml").write_text(text)
    subprocess.run(["rm", "-rf", folder / "sweep.zarr"], check=True)
    settings = ["--set", f"compute.cpus={cores}", "--set", "store=sweep.zarr"]
    known = {**os.environ, machine_speed.FOLDER: str(folder)}
    plan = subprocess.run(
        [COMMAND, "plan", "sweep.yaml", "--json", *settings],
        check=True,
        cwd=folder,
        capture_output=True,
        env=known,
    )
    start = time.perf_counter()
    subprocess.run(
        [COMMAND, "run", "sweep.yaml", *settings], check=True, cwd=folder, capture_output=True, env=known
    )
    return float(json.loads(plan.stdout)["wall_s"]), time.perf_counter() - start


def section() -> str:
    """The table as Markdown."""
    lines = ["| sweep | cores | forecast | measured | ratio |", "| --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as name:
        forecast_and_wall_s(NARROW, len(os.sched_getaffinity(0)), Path(name))  # tells what blocks take here
        for title, text in sweeps().items():
            for cores in sorted({1, len(os.sched_getaffinity(0))}):
                said_s, wall_s = forecast_and_wall_s(text, cores, Path(name))
                lines.append(
                    f"| {title} | {cores} | {said_s:.0f} s | {wall_s:.0f} s | {said_s / wall_s:.2f} |"
                )
    head = (
        "Wall time of `widesweep run` as `widesweep plan` forecasts it, once a run of narrow cells has told "
        f"what blocks take here (wanted: within {WANTED:.0%}):"
    )
    return "\n".join([head, "", *lines])


if __name__ == "__main__":
    print(section())
