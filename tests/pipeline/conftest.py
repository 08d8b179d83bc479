"""Small sweeps, one local Ray cluster for a module, and a way to run the command as a user does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.gate import DEADLINE_S, Gate
from widesweep.pipeline.plan import scheduling

ROOT = Path(__file__).parents[2]
EAGER = {"RAY_worker_niceness": "0"}  # at Ray's own 15 a busy machine gives workers nothing
Cell = tuple[int, int, int, float, float]  # width, depth, seed, learning rate, output scale
SMALL: dict[str, Any] = {
    "name": "small",
    "network": {"kind": "fully_connected"},
    "data": {"source": "sphere", "samples": 4, "inputs": 5},
    "grid": {"width": [8, 12], "depth": [1, 2], "seed": 3, "learning_rate": [0.5, 1.0]},
    "training": {"steps": 20, "records": 6},
    "initialization": {"draws": 2000, "orders": [4, 6]},
    "compute": {"device": "cpu", "cpus": 2},
}


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Writes SMALL, with sections changed by keyword, as a config file."""

    def write(name: str = "small.yaml", **sections: Any) -> Path:
        content = {**SMALL, "store": str(tmp_path / "small.zarr")}
        for key, value in sections.items():
            merged = {**content.get(key, {}), **value} if isinstance(value, dict) else value
            content[key] = merged
        path = tmp_path / name
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
        return path

    return write


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate beside the config."""
    return Gate(tmp_path)


@pytest.fixture(scope="module")
def module_cluster() -> Iterator[Any]:
    """One local Ray cluster of two cores; it would take its share of a core until the last test's end."""
    from widesweep.pipeline.execution import ray_environment

    os.environ.pop(ray_environment.CLUSTERS, None)
    os.environ |= EAGER
    ray_environment.prepare(local=True)
    from widesweep.pipeline.execution import ray_scheduler

    with ray_scheduler.connect(None, 2) as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs of this test use the module's Ray cluster, however small they are."""
    from widesweep.pipeline.execution import ray_scheduler

    here = contextlib.nullcontext(module_cluster)
    monkeypatch.setattr(ray_scheduler, "connect", lambda *_: here)
    monkeypatch.setattr(scheduling, "choice", lambda plan, address=None: "ray")
    return module_cluster


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this test compute in this process, so that it can be looked into."""
    compute_here(monkeypatch)


def compute_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs compute in this process from now on, however long they are."""
    monkeypatch.setattr(scheduling, "choice", lambda plan, address=None: "local")
    monkeypatch.setattr(scheduling, "processes", lambda plan: 0)


def start(*arguments: str, folder: Path = ROOT) -> subprocess.Popen[str]:
    """The command as a process of its own, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "widesweep", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **EAGER, "PYTHONPATH": str(ROOT)},
    )


def wait_until(
    condition: Callable[[], Any], *, deadline_s: float = DEADLINE_S, what: str = "the condition"
) -> Any:
    """Polls until a condition holds; fails at the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true in {deadline_s} s")


def measured_bytes(store: Path) -> dict[str, bytes]:
    """Every file of the measured groups: two runs that measured the same have the same."""
    groups = [store / name for name in ("training", "initialization", "theory")]
    files = [file for group in groups for file in group.rglob("*") if file.is_file()]
    return {str(file.relative_to(store)): file.read_bytes() for file in files}


def count_trained(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Every cell that is trained in this process from now on, in order."""
    from widesweep.workers.training import block_training

    cells: list[Cell] = []
    real = block_training.run

    def counted(block: Any, *rest: Any, **options: Any) -> Any:
        cells.extend(
            (block.width, block.depth, seed, rate, block.network.alpha)
            for seed in block.seeds
            for rate in block.learning_rates
        )
        return real(block, *rest, **options)

    monkeypatch.setattr(block_training, "run", counted)
    return cells


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, in_process: None) -> list[Cell]:
    """Every cell that the test trains, in order."""
    return count_trained(monkeypatch)
