"""Every benchmark, into benchmarks/RESULTS.md and a figure. From the root: python -m benchmarks"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from benchmarks import (
    convolution,
    engine,
    figure,
    forecast,
    gpu,
    infinite_ntk,
    limits,
    measurements,
    narrow_cells,
    samplers,
    scheduler,
    scheduling_classes,
    whole_sweeps,
)
from benchmarks.rows import Row, table

RESULTS = Path(__file__).with_name("RESULTS.md")
FIGURE = RESULTS.with_name("results.png")

# The quick ones first, so that a stop leaves most.
PARTS = (
    samplers,
    limits,
    engine,
    scheduler,
    scheduling_classes,
    measurements,
    whole_sweeps,
    forecast,
    gpu,
    narrow_cells,
    infinite_ntk,
    convolution,
)


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


def heading() -> str:
    """What the page begins with."""
    picture = f"![Each ratio over the one that was wanted]({FIGURE.name})"
    return f"# Ours beside the peers\n\n{machine()}. Ratios of paired runs in one process tree.\n\n{picture}"


def main() -> None:
    """Writes what is there after each part, so that one that is stopped leaves the others."""
    head = heading()
    rows: list[Row] = []
    sections: list[str] = []
    for module in PARTS:
        print(f"{module.__name__} …", file=sys.stderr, flush=True)
        if hasattr(module, "rows"):
            rows += module.rows()
        else:
            sections.append(module.section())
        RESULTS.write_text("\n\n".join((head, table(rows), *sections)) + "\n")
        figure.write(rows, FIGURE)
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
