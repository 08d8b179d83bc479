"""Whole commands without a peer: 20,000 tiny cells from config to laws, and a plan of 10⁶ cells.

From the repository's root: python -m benchmarks.whole_sweeps
"""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

TINY = """
name: tiny-cells
network: {kind: two_layer}
data: {source: digits, samples: 4}
grid: {width: [8, 16, 32, 64], depth: [1], seed: 2500, learning_rate: [0.5, 1.0]}
training: {steps: 100, records: 16}
store: tiny.zarr
"""
MILLION = """
name: million
network: {kind: fully_connected}
data: {source: digits, samples: 32}
grid:
  width: [64, 128, 256, 512, 1024]
  depth: [1, 2, 3, 4]
  seed: 5000
  learning_rate: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
training: {steps: 1000}
"""


def seconds(folder: Path, *arguments: str) -> float:
    """Time of one command of ours."""
    began = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("widesweep"), *arguments], check=True, cwd=folder, capture_output=True
    )
    return time.perf_counter() - began


def largest_bytes(folder: Path, *arguments: str) -> int:
    """Most memory of one command of ours, as the child of a process that has no other."""
    command = [str(Path(sys.executable).with_name("widesweep")), *arguments]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_largest_bytes, command, folder).result()


def _largest_bytes(command: list[str], folder: Path) -> int:
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def section() -> str:
    """Seconds, objects and memory, as a Markdown table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.yaml").write_text(TINY)
        (folder / "million.yaml").write_text(MILLION)
        plan_s = seconds(folder, "plan", "million.yaml")
        plan_bytes = largest_bytes(folder, "plan", "million.yaml")
        run_s = seconds(folder, "run", "tiny.yaml")
        laws_s = seconds(folder, "analyze", "tiny.zarr")
        objects = sum(path.is_file() for path in (folder / "tiny.zarr").rglob("*"))
    lines = (
        (
            "20,000 tiny cells: `widesweep run`",
            f"{run_s:.1f} s, {objects:,} objects",
            "< 60 s, < 2,000 objects",
        ),
        ("their laws: `widesweep analyze`", f"{laws_s:.1f} s", "< 20 s"),
        (
            "`widesweep plan` of 10⁶ cells",
            f"{plan_s:.1f} s, {plan_bytes / 1e6:.0f} MB at most",
            "< 5 s, < 500 MB",
        ),
    )
    head = ("whole command", "measured", "wanted")
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ("---",) * 3, *lines))


if __name__ == "__main__":
    print(section())
