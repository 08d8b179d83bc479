"""Flushes: records that are readable at once, and a block that goes on from its last one to the same bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from tests.pipeline.conftest import SMALL, compute_here, measured_bytes
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import checkpoints, objects, stream
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import Store
from widesweep.workers.optimizers import GradientDescent

Write = Callable[..., Path]
TRAINING = {"steps": 150, "records": 12}


class Died(BaseException):
    """What stands for the end of a process: nothing that a block's own defect looks like."""


def dies_after(flushes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush at every look; the process ends right after the given one."""
    real, seen = stream.Stream.write, []

    def write(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        seen.append(self)
        if len(seen) == flushes:
            raise Died

    monkeypatch.setattr(stream.Stream, "write", write)
    monkeypatch.setattr(stream.Stream, "due", lambda self: True)


def first_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step at which each batch starts to train, in order."""
    steps: list[int] = []
    real = GradientDescent.stepper

    def stepper(self: GradientDescent, ensemble: Any, start: Any) -> Any:
        made = real(self, ensemble, start)
        advance = made.advance

        def first(residual: Any, step: int, last: int) -> None:
            steps.append(step)
            made.advance = advance
            advance(residual, step, last)

        made.advance = first
        return made

    monkeypatch.setattr(GradientDescent, "stepper", stepper)
    return steps


@pytest.mark.usefixtures("in_process")
def test_a_block_goes_on_from_its_last_flush(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are there under status pending; the next run ends in the same bits."""
    path = write_config(training=TRAINING, initialization=None, compute={"flush_s": 1e-9})
    calm, url = tmp_path / "calm.zarr", tmp_path / "small.zarr"
    run(sweep_config.load(path), str(calm))
    with monkeypatch.context() as patch:
        dies_after(15, patch)
        with pytest.raises(Died):
            run(sweep_config.load(path), str(url))
    seen = xr.open_datatree(url, engine="zarr")["training"]
    records = np.isfinite(seen["loss"].values).sum(-1)
    assert records.max() in range(3, 12)
    assert (seen["status"] == 0).all()
    assert Store(str(url)).cell_counts()["pending"] == 24
    assert len(checkpoints.names(str(url))) == 1
    steps = first_steps(monkeypatch)
    run(sweep_config.load(path), str(url))
    assert max(steps) > 5
    assert sorted(set(steps))[0] == 0  # the other blocks
    assert measured_bytes(url) == measured_bytes(calm)
    assert not checkpoints.names(str(url))


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_a_block_that_is_partly_stored_goes_on_too(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that grows is flushed with its old values in it, and goes on from there."""
    path = write_config(training=TRAINING, initialization=None, compute={"flush_s": 1e-9})
    calm, url = tmp_path / "calm.zarr", tmp_path / "small.zarr"
    for store in (calm, url):
        run(sweep_config.load(path), str(store))
    more = ["grid.learning_rate=[0.5, 1.0, 0.25]", "grid.seed=4"]
    run(sweep_config.load(path, more), str(calm))
    with monkeypatch.context() as patch:
        dies_after(12, patch)
        with pytest.raises(Died):
            run(sweep_config.load(path, more), str(url))
    counts = Store(str(url)).cell_counts()
    assert counts["done"] >= 24
    before = xr.open_datatree(calm, engine="zarr")["training"]["loss"].values
    seen = xr.open_datatree(url, engine="zarr")["training"]["loss"].values
    there = np.isfinite(seen)
    np.testing.assert_array_equal(seen[there], before[there])
    run(sweep_config.load(path, more), str(url))
    assert measured_bytes(url) == measured_bytes(calm)
    assert not checkpoints.names(str(url))


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config of one block, the store of a run that died in it, and that of a calm run."""
    folder = tmp_path_factory.mktemp("died")
    sections = {
        "training": TRAINING,
        "compute": {**SMALL["compute"], "flush_s": 1e-9},
        "grid": {**SMALL["grid"], "width": [8], "depth": [1]},
    }
    content = {name: section for name, section in SMALL.items() if name != "initialization"}
    (folder / "small.yaml").write_text(yaml.safe_dump({**content, **sections, "store": "small.zarr"}))
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        run(sweep_config.load(folder / "small.yaml"), str(folder / "calm.zarr"))
        dies_after(8, patch)
        with pytest.raises(Died):
            run(sweep_config.load(folder / "small.yaml"), str(folder / "small.zarr"))
    return folder


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "another cell's"])
def test_a_checkpoint_that_is_not_sound_is_not_used(
    harm: str, died: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged or of other cells: training begins anew, and the bits are the same."""
    shutil.copytree(died, tmp_path, dirs_exist_ok=True)
    path, calm, url = (tmp_path / name for name in ("small.yaml", "calm.zarr", "small.zarr"))
    (name,) = checkpoints.names(str(url))
    key = f"{checkpoints.PLACE}/{name}"
    content = bytearray(objects.get(str(url), key) or b"")
    if harm == "flip":
        content[-20] ^= 1
    elif harm == "another cell's":
        place = content.index(b'"identity":"') + 12
        content[place] = ord("0") if content[place] != ord("0") else ord("1")
    else:
        del content[0 if harm == "empty" else len(content) // 2 :]
    objects.put(str(url), {key: bytes(content)})
    steps = first_steps(monkeypatch)
    run(sweep_config.load(path), str(url))
    assert set(steps) == {0}
    assert measured_bytes(url) == measured_bytes(calm)


def test_arrays_of_every_type_come_back() -> None:
    """Numbers, shapes and types of a checkpoint, an empty array among them."""
    arrays = {
        "state.parameter.0": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        "result.status": np.array([1, 2, 0], dtype=np.int8),
        "steps": np.array([3, 2**63 - 1]),
        "cells": np.empty(0, dtype=np.int64),
    }
    found = checkpoints.decode(checkpoints.encode(arrays, "mine"), "mine")
    assert found is not None
    assert set(found) == set(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def test_a_flush_takes_a_twentieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a flush of 9 s the next one is due after 180 s, not after the interval."""
    now = [0.0]
    monkeypatch.setattr(stream.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Permit, "put", lambda *_: now.__setitem__(0, now[0] + 9.0))
    kept = stream.Stream(Permit("url", 1, ""), "key", lambda: "", lambda _: None, 60.0, lambda: None)
    assert not kept.due()
    now[0] = 60.0
    assert kept.due()
    kept.write({}, {"steps": np.zeros(1)})
    for wait_s, due in ((179.0, False), (180.0, True)):
        now[0] = 69.0 + wait_s
        assert kept.due() is due


def test_the_interval_changes_no_hash(write_config: Write) -> None:
    """`compute.flush_s` changes no number, and so not the hash."""
    hashes = {sweep_config.load(write_config(compute={"flush_s": s})).config.hash for s in (1, 60.0)}
    assert len(hashes) == 1
