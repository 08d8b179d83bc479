"""A driver that dies in a round of a refinement, as a real process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from tests.pipeline.conftest import start
from tests.pipeline.gate import Gate
from tests.pipeline.test_faults import driver
from tests.pipeline.test_refine import interval, proposed
from widesweep.pipeline.refine import record
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]


@pytest.mark.slow
def test_a_driver_killed_in_a_round_is_taken_up_by_the_same_command(
    write_config: Write, tmp_path: Path, gate: Gate
) -> None:
    """Real processes, kill -9 once a block of the round is stored: the same round, no cell twice."""
    grid = {"width": [16, 32, 64], "depth": [1], "seed": 4, "learning_rate": [1.0]}
    training = {"steps": 20, "records": 6, "measure": ["loss", "drift"]}
    path = write_config(**{**gate.sections, "grid": grid, "training": training})
    calm, killed = str(tmp_path / "calm.zarr"), str(tmp_path / "killed.zarr")
    finish(start("run", str(path), "--store", calm))
    shutil.copytree(calm, killed)
    wanted = 0.5 * interval(calm)
    command = ("--law", "weight_drift", "--interval", str(wanted), "--json")
    before = Store(killed).cell_counts()["done"]
    gate.close()
    with driver("refine", killed, *command, folder=tmp_path) as process:
        gate.step_until(lambda: before < done(killed) < requested(killed), what="a block of the round")
        process.kill()
        process.wait()
        left = done(killed)
    gate.open()
    assert before < left < requested(killed)
    assert record.read(killed).unfinished is not None
    found = json.loads(finish(start("refine", killed, *command, folder=tmp_path)))
    undisturbed = json.loads(finish(start("refine", calm, *command, folder=tmp_path)))
    assert found["stopped"] == undisturbed["stopped"] == "reached"
    assert found["rounds"][0]["interrupted"] == 1
    assert 12 + proposed(found) == Store(killed).cell_counts()["done"]
    for each in found["rounds"]:
        assert each["cost_s"] > 0
    tree = xr.open_datatree(killed, engine="zarr")
    assert int((tree["training"].status == 1).sum()) == Store(killed).cell_counts()["done"]
    first, second = (each["rounds"][0]["proposed"] for each in (found, undisturbed))
    assert [(g["width"], g["seeds"]) for g in first] == [(g["width"], g["seeds"]) for g in second]


def done(url: str) -> int:
    return Store(url).cell_counts()["done"]


def requested(url: str) -> int:
    counts = Store(url).cell_counts()
    return counts["done"] + counts["pending"]


def finish(process: Any) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return str(output)
