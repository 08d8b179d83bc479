"""Stores from strangers, a token for its owner alone, and a disk that fills up."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from tests.pipeline.conftest import measured_bytes, start, wait_until
from tests.pipeline.gate import Gate
from widesweep.pipeline.cli import app
from widesweep.pipeline.execution import ray_environment
from widesweep.pipeline.store import status as statuses

Write = Callable[..., Path]


class _Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("command", ["status", "analyze", "report", "run"])
@pytest.mark.filterwarnings("ignore")
def test_a_store_with_pickle_runs_nothing(command: str, write_config: Write, tmp_path: Path) -> None:
    """A store whose coordinate and status are pickles, beside or instead of v3 metadata: refused in words."""
    url, mark = tmp_path / "small.zarr", tmp_path / "ran"
    root = zarr.open_group(url, mode="w", zarr_format=2, attributes={"schema_version": 1, "config": "{}"})
    training = root.create_group("training")
    for name in ("width", "status"):
        array = training.create_array(
            name, shape=(1,), chunks=(1,), dtype="int64", filters=[numcodecs.Zstd()], compressors=None,
            attributes={"_ARRAY_DIMENSIONS": ["width"]},
        )  # fmt: skip
        array[...] = np.array([1])
        metadata = url / "training" / name / ".zarray"
        text = metadata.read_text().replace("<i8", "|O").replace('"fill_value": 0', '"fill_value": null')
        metadata.write_text(text.replace('"id": "zstd"', '"id": "pickle"'))
        (url / "training" / name / "0").write_bytes(pickle.dumps(_Bomb(mark)))
    target = str(write_config()) if command == "run" else str(url)
    for metadata_of_v3 in (False, True):
        if metadata_of_v3:
            zarr.open_group(tmp_path / "v3", mode="w", zarr_format=3, attributes={"schema_version": 1})
            (url / "zarr.json").write_bytes((tmp_path / "v3" / "zarr.json").read_bytes())
        told = CliRunner().invoke(app, [command, target])
        assert told.exit_code == 2, told.output
        assert len(told.stderr.strip().splitlines()) <= 5
        assert not mark.exists()


def test_the_token_of_a_local_cluster_is_its_owners_alone(tmp_path: Path) -> None:
    """Made with mode 0600 from its first moment, and taken back from others where they could read it."""
    new, old = tmp_path / "a" / "token", tmp_path / "old"
    old.write_text("t")
    old.chmod(0o644)
    for path in (new, old):
        ray_environment.keep_token_private(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(new.read_text()) == 64


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_and_is_freed_loses_nothing(
    small_disk: Path, write_config: Write, tmp_path: Path, gate: Gate
) -> None:
    """One message, no cell is called failed; with space freed the same command ends in the same bits."""
    path = write_config(**gate.sections)
    calm = start("run", str(path), "--store", str(tmp_path / "calm.zarr"))
    calm.communicate(timeout=200)
    assert calm.returncode == 0
    url, ballast = small_disk / "a.zarr", small_disk / "ballast"
    gate.close()
    first = start("run", str(path), "--store", str(url))
    wait_until(lambda: gate.is_reached or first.poll() is not None, what="a block at work")
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    gate.open()
    _, told = first.communicate(timeout=200)
    assert first.returncode == 1, told
    assert "No space left on device" in told
    assert "Traceback" not in told
    state = CliRunner().invoke(app, ["status", str(url)])
    assert state.exit_code == 0
    assert " 0 failed" in state.stdout
    ballast.unlink()
    second = start("run", str(path), "--store", str(url))
    _, told = second.communicate(timeout=200)
    assert second.returncode == 0, told
    same = {k: v for k, v in measured_bytes(tmp_path / "calm.zarr").items() if "/c" in k}
    assert {k: v for k, v in measured_bytes(url).items() if "/c" in k} == same
    assert not list(url.rglob("*.partial"))


@pytest.mark.filterwarnings("ignore")
def test_a_data_file_with_pickle_runs_nothing(write_config: Write, tmp_path: Path) -> None:
    """A .zarr source whose points are pickles: exit 2, one message, and nothing of it runs."""
    mark, source = tmp_path / "ran", tmp_path / "points.zarr"
    group = zarr.open_group(source, mode="w", zarr_format=2)
    array = group.create_array(
        "x", shape=(8, 2), chunks=(8, 2), dtype="int64", filters=[numcodecs.Zstd()], compressors=None
    )
    array[...] = np.arange(16).reshape(8, 2)
    metadata = source / "x" / ".zarray"
    codec = '{"id": "pickle", "protocol": 5}'
    text = metadata.read_text()
    start = text.index("{", text.index('"filters"'))
    metadata.write_text(text[:start] + codec + text[text.index("}", start) + 1 :])
    (source / "x" / "0.0").write_bytes(pickle.dumps(_Bomb(mark)))
    path = write_config(data={"source": "points.zarr", "inputs": None, "labels": "random"})
    path.write_text(path.read_text().replace("inputs: null", ""))
    for command in ("plan", "theory", "run"):
        told = CliRunner().invoke(app, [command, str(path)])
        assert told.exit_code == 2, told.output
        assert "points.zarr" in told.stderr
        assert not mark.exists()


def test_what_a_store_says_reaches_the_terminal_as_printable_text() -> None:
    """Escape sequences, line breaks and marks of direction in a name or a reason are spelled out."""
    state = {
        "name": "a\x1b[2J\nb", "cells": {"done": 1}, "blocks": {"done": 1, "total": 2}, "running": False,
        "elapsed_s": 1.0, "remaining_s": None, "failures": {"0": "gone\u202e\r\x07"},
    }  # fmt: skip
    text = statuses.lines(state)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "\\x1b[2J\\nb: not running" in text
    assert len(text.split("\n")) == 5
