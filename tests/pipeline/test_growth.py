"""A grid that grows, cells that failed, chunks that are damaged: what is computed again and what is not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL, measured_bytes
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.execution.local_scheduler import LocalScheduler
from widesweep.pipeline.plan import blocks as plan
from widesweep.pipeline.store import objects
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]


def run_to(path: Path, url: Path, *settings: str, **options: bool) -> Store:
    return run(sweep_config.load(path, settings), str(url), **options)


def chunks(url: Path) -> dict[str, str]:
    """Hashes of the measured chunks, by name."""
    files = [f for name in ("training", "initialization") for f in (url / name).rglob("*") if f.is_file()]
    found = {f: str(f.relative_to(url)) for f in files if f.name != "zarr.json"}
    return {
        name: hashlib.sha256(f.read_bytes()).hexdigest()
        for f, name in found.items()
        if name.split("/")[1] in ("loss", "residual_norm", "cumulant")
    }


GROWN = {
    "width": ["grid.width=[10, 8, 12]"],
    "depth": ["grid.depth=[3, 1]"],
    "seed": ["grid.seed=7"],
    "a list of seeds": ["grid.seed=[9, 0, 1, 2]"],
    "learning_rate": ["grid.learning_rate=[0.25, 0.5, 0.75, 1.0, 0.1]"],
    "all": [
        "grid.width=[8, 12, 9]",
        "grid.depth=[1, 2]",
        "grid.seed=5",
        "grid.learning_rate=[0.5, 1.0, 0.7]",
    ],
}


QUICK = ("a list of seeds", "all")
GROWTHS = [
    pytest.param(settings, id=name, marks=() if name in QUICK else pytest.mark.slow)
    for name, settings in GROWN.items()
]


@pytest.mark.parametrize("settings", GROWTHS)
def test_a_grown_grid_computes_just_the_new_cells(
    settings: list[str],
    write_config: Write,
    tmp_path: Path,
    trained: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New cells once each, none of the old; old chunks stay, but for those into which a cell was put.

    Plain xarray finds the values of a store made with the large grid at once, in its order; so do the laws.
    """
    monkeypatch.setattr(plan, "balanced_seeds", lambda *_: 2)
    training, initialization = {"measure": ["loss", "drift"]}, {"orders": [4]}
    path = write_config(grid={"depth": [1]}, training=training, initialization=initialization)
    url = tmp_path / "grown.zarr"
    run_to(path, url)
    before, old_cells = set(chunks(url).values()), set(trained)
    trained.clear()
    store = run_to(path, url, *settings)
    grid = sweep_config.load(path, settings).config.grid
    wanted = {
        (w, d, s, r, 1.0)
        for w in grid.width
        for d in grid.depth
        for s in grid.seeds
        for r in grid.learning_rates
    }
    assert len(trained) == len(set(trained))
    assert set(trained) == wanted - old_cells
    assert store.cell_counts() == {"done": len(wanted), "diverged": 0, "failed": 0, "pending": 0}
    if settings[0].startswith(("grid.width", "grid.depth")) and len(settings) == 1:
        assert before <= set(chunks(url).values())
    run_to(path, tmp_path / "fresh.zarr", *settings)
    one, other = (xr.open_datatree(tmp_path / name, engine="zarr") for name in ("grown.zarr", "fresh.zarr"))
    for group in ("training", "initialization", "theory"):
        xr.testing.assert_identical(one[group].to_dataset(), other[group].to_dataset())
    if len(settings) > 1:
        found = [analysis.analyze(tmp_path / name) for name in ("grown.zarr", "fresh.zarr")]
        assert json.dumps(found[0]) == json.dumps(found[1])


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_failed_blocks_are_computed_again_when_asked_and_no_others(
    write_config: Write,
    tmp_path: Path,
    trained: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A plain rerun leaves failures with their reason; --retry-failed ends in the bits of a calm run.

    What failed counts once on the display, and no longer once it is done.
    """
    path, url = write_config(initialization=None), tmp_path / "a.zarr"
    run_to(path, tmp_path / "calm.zarr")
    inline = LocalScheduler.run

    def faulty(cluster: Any, sweep: Any, blocks: Any, listener: Any, stop: Any) -> None:
        for block in blocks:
            if block.width == 1:
                listener.failed(block, "ZeroDivisionError: a defect")
            else:
                inline(cluster, sweep, [block], listener, stop)

    with monkeypatch.context() as patch:
        patch.setattr(LocalScheduler, "run", faulty)
        assert run_to(path, url).cell_counts() == {"done": 12, "diverged": 0, "failed": 12, "pending": 0}
    assert last_line(capsys).endswith("2 cores · 12 failed")
    trained.clear()
    assert run_to(path, url).failures(1) == {"2": "ZeroDivisionError: a defect"}
    reasons = xr.open_datatree(url, engine="zarr")["failures"]["training"]
    assert (reasons.sel(width=12) == "ZeroDivisionError: a defect").all()
    assert (reasons.sel(width=8) == "").all()
    assert not trained
    assert run_to(path, url, retry_failed=True).cell_counts()["done"] == 24
    told = last_line(capsys)
    assert " 24/24 cells " in told
    assert "failed" not in told
    assert sorted(trained) == sorted(set(trained))
    assert {cell[0] for cell in trained} == {12}
    assert len(trained) == 12
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")


DAMAGED = {
    "data": "training/residual_norm/c/1/0/0/0/0",
    "status": "training/status/c/0/1/0/0",
    "random networks": "initialization/cumulant/c/0/0/0",
    "a coordinate": "training/width/c/0",
    "theory": "theory/lambda_max/c/0",
}


HARM: list[Any] = [
    ("data", "flipped"),
    ("status", "emptied"),
    ("theory", "flipped"),
    ("a coordinate", "deleted"),
]
RARE = [("data", "truncated"), *((name, "flipped") for name in ("status", "random networks", "a coordinate"))]
HARM += [pytest.param(*each, marks=pytest.mark.slow) for each in RARE]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store of SMALL, never changed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    run(sweep_config.load(folder / "small.yaml"), str(folder / "a.zarr"), scheduler="local")
    return folder / "a.zarr"


@pytest.mark.parametrize(("what", "harm"), HARM)
def test_a_damaged_chunk_is_named_and_repaired(
    what: str, harm: str, whole: Path, write_config: Write, tmp_path: Path, trained: list[Any]
) -> None:
    """One flipped bit, or half a file, or none of it: one message without --repair, the old bits with it."""
    key = DAMAGED[what]
    path, url = write_config(), tmp_path / "a.zarr"
    shutil.copytree(whole, url)
    before = measured_bytes(url)
    content = bytearray((url / key).read_bytes())
    content[len(content) // 2] ^= 1
    wrong = {"flipped": bytes(content), "truncated": bytes(content[: len(content) // 2]), "emptied": b""}
    (url / key).unlink() if harm == "deleted" else objects.put(str(url), {key: wrong[harm]})
    told = CliRunner().invoke(app, ["status" if "status" in key else "analyze", str(url)])
    assert told.exit_code in (1, 2)
    assert key in told.stderr
    assert "--repair" in told.stderr
    assert "Traceback" not in told.stderr
    assert len(told.stderr.strip().splitlines()) <= 2
    trained.clear()
    repaired = CliRunner().invoke(app, ["run", str(path), "--store", str(url), "--repair"])
    assert repaired.exit_code == 0, repaired.stderr
    assert key in repaired.stderr
    after = measured_bytes(url)
    assert {name: after[name] for name in before if not name.endswith("zarr.json")} == {
        name: before[name] for name in before if not name.endswith("zarr.json")
    }
    assert len(trained) == (6 if key.startswith("training/") and "width" not in key else 0)
    assert np.isfinite(xr.open_datatree(url, engine="zarr")["training"]["loss"]).all()


@pytest.mark.parametrize("name", ["layer_relative_change", pytest.param("loss", marks=pytest.mark.slow)])
def test_a_deleted_chunk_is_noticed_and_repaired(
    name: str, write_config: Write, tmp_path: Path, trained: list[Any]
) -> None:
    """A chunk that is gone under status done: its block alone is computed again, to the old bits."""
    path, url = write_config(grid={"seed": 2}), tmp_path / "a.zarr"
    run_to(path, url)
    before = measured_bytes(url)
    (gone, *_) = sorted((url / "training" / name / "c" / "1" / "0").rglob("0"))[-1:]
    gone.unlink()
    trained.clear()
    for cells in (4, 0):
        repaired = CliRunner().invoke(app, ["run", str(path), "--store", str(url), "--repair"])
        assert repaired.exit_code == 0, repaired.stderr
        assert ("is gone" in repaired.stderr) is bool(cells)
        assert len(trained) == cells
        trained.clear()
    assert {k: v for k, v in measured_bytes(url).items() if "/c" in k} == {
        k: v for k, v in before.items() if "/c" in k
    }


def test_numbers_that_do_not_exist_are_not_missed(
    write_config: Write, tmp_path: Path, trained: list[Any]
) -> None:
    """Diverged cells, layers that a depth lacks, conditions of fixed layers: --repair finds nothing."""
    training = {"measure": ["loss", "drift", "du_conditions"]}
    path = write_config(
        network={"trains": "last"},
        training=training,
        grid={"learning_rate": [0.5, 1e300]},
        initialization=None,
    )
    url = tmp_path / "a.zarr"
    run_to(path, url)
    run_to(path, url, "grid.depth=[1, 2, 3]")
    trained.clear()
    repaired = CliRunner().invoke(
        app, ["run", str(path), "--store", str(url), "--set", "grid.depth=[1, 2, 3]", "--repair"]
    )
    assert repaired.exit_code == 0, repaired.stderr
    assert not trained
