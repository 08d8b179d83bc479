"""Trackers of one's own hear of every block, and cannot stop a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run

Write = Callable[..., Path]
LAB = """
import json
from pathlib import Path

class Tracker:
    def __init__(self):
        self.file = Path(__file__).with_name("heard.jsonl")

    def finished(self, block):
        last = float(block.read().loss.isel(step=-1).mean()) if block.kind == "training" else None
        line = {"width": block.width, "depth": block.depth, "loss": last, "failure": block.failure}
        with self.file.open("a") as out:
            out.write(json.dumps(line) + "\\n")

class Raises:
    def finished(self, block):
        raise RuntimeError("no network")

class Offline:
    def __init__(self):
        raise ConnectionError("no server")

    def finished(self, block):
        pass

number = 3
"""
GRID = {"width": [8, 12], "depth": [1, 2], "seed": 2, "learning_rate": [0.5]}


def test_a_tracker_hears_of_every_block_once(write_config: Write, tmp_path: Path, in_process: None) -> None:
    """With its width, its depth and its numbers; one that raises is noted, and the sweep ends as it would."""
    (tmp_path / "my_lab.py").write_text(LAB)
    path = write_config(
        grid=GRID, initialization=None, compute={"callbacks": ["my_lab:Raises", "my_lab:Tracker"]}
    )
    run(configs.load(path), url := str(tmp_path / "small.zarr"))
    assert (xr.open_datatree(url, engine="zarr")["training/status"] == 1).all()
    heard = [json.loads(line) for line in (tmp_path / "heard.jsonl").read_text().splitlines()]
    assert sorted((each["width"], each["depth"]) for each in heard) == [(8, 1), (8, 2), (12, 1), (12, 2)]
    assert all(each["loss"] > 0 and not each["failure"] for each in heard)
    without = write_config(grid=GRID, initialization=None)
    assert configs.load(without).config.hash == configs.load(path).config.hash


@pytest.mark.parametrize("name", ["my_lab:number", "my_lab:Absent", "tracker", "my_lab:Offline"])
def test_what_is_no_tracker_is_refused_before_anything_is_written(
    write_config: Write, tmp_path: Path, name: str, in_process: None
) -> None:
    (tmp_path / "my_lab.py").write_text(LAB)
    path = write_config(grid=GRID, initialization=None, compute={"callbacks": [name]})
    with pytest.raises(InputError, match=r"compute\.callbacks"):
        run(configs.load(path), str(tmp_path / "small.zarr"))
    assert not list(tmp_path.glob("*.zarr"))
