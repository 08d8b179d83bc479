"""Every benchmark, one after the other, into benchmarks/RESULTS.md. From the root: python -m benchmarks"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from benchmarks import (
    engine,
    infinite_ntk,
    limits,
    measurements,
    narrow_cells,
    samplers,
    scheduler,
    whole_sweeps,
)
from benchmarks.rows import table

RESULTS = Path(__file__).with_name("RESULTS.md")


def machine() -> str:
    """Processor, cores, Python and the libraries that matter."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor
        )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "scipy"))
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def main() -> None:
    rows = [row for module in (narrow_cells, engine, infinite_ntk, samplers) for row in module.rows()]
    head = f"# Ours beside the peers\n\n{machine()}. Ratios of paired runs in one process tree."
    sections = tuple(each.section() for each in (limits, whole_sweeps, scheduler, measurements))
    text = "\n\n".join((head, table(rows), *sections)) + "\n"
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
