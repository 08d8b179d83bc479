"""What a store holds against what was written: found, named, restored; what is others' is left alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
import zarr
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL, compute_here, measured_bytes
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import inventory, verify

SWEEP = {
    **SMALL,
    "grid": {"width": [8, 12], "depth": [1], "seed": 2, "learning_rate": [0.5]},
    "initialization": None,
    "compute": {"device": "cpu", "cpus": 1},
}
STATUS = "training/status/c/0/0/0/0"
LOSS, SIBLING = "training/loss/c/0/0/0/0/0", "training/loss/c/1/0/0/0/0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and its finished, analysed store, never changed."""
    folder = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        (folder / "small.yaml").write_text(yaml.safe_dump({**SWEEP, "store": "small.zarr"}))
        run(sweep_config.load(folder / "small.yaml"), str(folder / "small.zarr"))
    analysis.analyze(str(folder / "small.zarr"))
    return folder


@pytest.fixture
def store(finished: Path, tmp_path: Path, in_process: None) -> Path:
    """A copy of the store, beside its config."""
    shutil.copytree(finished / "small.zarr", tmp_path / "a.zarr")
    shutil.copy(finished / "small.yaml", tmp_path / "small.yaml")
    return tmp_path / "a.zarr"


def swap(store: Path, one: str, other: str) -> None:
    first, second = (store / one).read_bytes(), (store / other).read_bytes()
    (store / one).write_bytes(second)
    (store / other).write_bytes(first)


def change(store: Path, key: str, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((store / key).read_bytes())
    edit(document)
    (store / key).write_text(json.dumps(document))


def gathered_bit(store: Path, group: str) -> None:
    """One bit of what a group gathers of its members, so that Zarr can open it no more."""
    file = store / group / "zarr.json"
    before, mark, after = file.read_bytes().rpartition(b'"little"')
    assert mark
    file.write_bytes(before + b'"littme"' + after)


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "siblings swapped": (lambda s: swap(s, LOSS, SIBLING), LOSS),
    "another array's": (lambda s: swap(s, LOSS, LOSS.replace("loss", "residual_norm")), LOSS),
    "theory swapped": (
        lambda s: swap(s, "theory/lambda_min/c/0", "theory/lambda_max/c/0"),
        "theory/lambda_max/c/0",
    ),
    "a chunk deleted": (lambda s: (s / LOSS).unlink(), LOSS),
    "a chunk too many": (
        lambda s: shutil.copytree((s / STATUS).parents[3], s / "failures/training/c"),
        "failures/training",
    ),
    "η deleted": (
        lambda s: (s / "training/learning_rate_absolute/c/0/0/0").unlink(),
        "learning_rate_absolute",
    ),
    "metadata deleted": (lambda s: (s / "theory/lambda_min/zarr.json").unlink(), "theory/lambda_min"),
    "metadata changed": (
        lambda s: change(s, "training/loss/zarr.json", lambda d: d["attributes"].update(units="2")),
        "training/loss/zarr.json",
    ),
    "a group's copy of a codec's name changed": (lambda s: gathered_bit(s, "theory"), "theory/zarr.json"),
    "the run's copy of a codec's name changed": (lambda s: gathered_bit(s, "run"), "run/zarr.json"),
    "the root's copy of a codec's name changed": (lambda s: gathered_bit(s, ""), "zarr.json"),
    "the root deleted": (lambda s: (s / "zarr.json").unlink(), "zarr.json"),
    "the inventory deleted": (lambda s: (s / inventory.PLACE).unlink(), inventory.PLACE),
    "laws changed": (lambda s: swap(s, "laws/note/c/0", "laws/verdict/c/0"), "laws/note/c/0"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_not_as_it_was_written_is_named_and_restored(harm: str, store: Path) -> None:
    """`status --verify` exits 1 (2 where nothing opens) and names it; --repair ends in the old bits."""
    before = {key: content for key, content in measured_bytes(store).items() if "/c" in key}
    assert verify.find(str(store)) == []
    act, named = HARM[harm]
    act(store)
    told = CliRunner().invoke(app, ["status", str(store), "--verify"])
    assert told.exit_code in (1, 2)
    assert named in told.output
    repaired = CliRunner().invoke(
        app, ["run", str(store.parent / "small.yaml"), "--store", str(store), "--repair"]
    )
    assert repaired.exit_code == 0, repaired.stderr
    assert named in repaired.stderr
    assert verify.find(str(store)) == []
    assert {key: content for key, content in measured_bytes(store).items() if "/c" in key} == before


@pytest.mark.parametrize(
    "harm", ["siblings swapped", "a chunk deleted", "theory swapped", "metadata deleted"]
)
def test_damage_is_refused_before_laws_are_found(harm: str, store: Path) -> None:
    """`analyze` and `report` exit 1 (2: metadata) and name it, instead of wrong numbers without a word."""
    act, named = HARM[harm]
    act(store)
    for arguments in (
        ["analyze", str(store)],
        ["report", str(store), "--output", str(store.parent / "page")],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == (2 if harm.startswith("metadata") else 1), result.output
        assert named in result.stderr


def test_nothing_trains_with_learning_rates_that_are_gone(store: Path) -> None:
    """A resume without them is refused; it would train with η = NaN."""
    shutil.rmtree(store / "training" / "learning_rate_absolute" / "c")
    (store / "training" / "status" / "c" / "0" / "0" / "0" / "0").unlink()
    result = CliRunner().invoke(app, ["run", str(store.parent / "small.yaml"), "--store", str(store)])
    assert result.exit_code == 1
    assert "learning_rate_absolute" in result.stderr


@pytest.mark.parametrize("value", [7, -1])
def test_a_status_that_there_is_not_is_damage(value: int, store: Path) -> None:
    """Written by Zarr itself, with a checksum that fits."""
    array: Any = zarr.open_array(store / "training" / "status")
    array[0] = value
    result = CliRunner().invoke(app, ["status", str(store)])
    assert result.exit_code == 1
    assert "training/status" in result.stderr


def test_a_config_of_another_grid_than_the_arrays_is_told(store: Path) -> None:
    """Fewer seeds in the config than in the arrays: exit 2, both named."""

    def fewer(root: dict[str, Any]) -> None:
        config = json.loads(root["attributes"]["config"])
        config["grid"]["seed"] = 1
        root["attributes"]["config"] = json.dumps(config)

    change(store, "zarr.json", fewer)
    result = CliRunner().invoke(app, ["status", str(store)])
    assert result.exit_code == 2
    assert "[2, 1, 1, 1]" in result.stderr
    assert "[2, 1, 2, 1]" in result.stderr


def test_what_others_put_into_a_store_stays(store: Path) -> None:
    """Repair, growth and analysis leave a user's arrays, groups and files as they are, without a word."""
    mine = [store / "training" / "mine", store / "theory" / "mine", store / "fits" / "mine", store / "mine"]
    for place in mine:
        array: Any = zarr.create_array(
            place, shape=(2, 1), chunks=(1, 1), dtype="float64", dimension_names=("width", "depth")
        )
        array[...] = [[1.0], [2.0]]
    files = [
        store / "notes.txt",
        store / "training" / "notes.txt",
        store / "training" / "loss" / "c" / "notes.txt",
    ]
    for file in files:
        file.write_text("mine")
    files += [file for place in mine for file in place.rglob("*") if file.is_file()]
    before = {file: file.read_bytes() for file in files}
    (store / LOSS).unlink()
    command = ["run", str(store.parent / "small.yaml"), "--store", str(store)]
    for arguments in ([*command, "--repair"], [*command, "--set", "grid.seed=3"], ["analyze", str(store)]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.stderr
        assert "Warning" not in result.stderr
    assert {file: file.read_bytes() for file in files} == before


def test_a_store_is_named_by_its_address_too(store: Path) -> None:
    """file:///… works as the path does; file:/… is neither."""
    for command in ("status", "analyze"):
        assert CliRunner().invoke(app, [command, f"file://{store}"]).exit_code == 0
    result = CliRunner().invoke(app, ["status", f"file:{store}"])
    assert result.exit_code == 2
    assert "file:///" in result.stderr


def test_a_report_replaces_reports_alone(store: Path) -> None:
    """Somebody's index.html stays: exit 2; a report of ours is replaced."""
    page = store.parent / "page" / "index.html"
    page.parent.mkdir()
    page.write_text("<h1>mine</h1>")
    command = ["report", str(store), "--output", str(page.parent)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert str(page) in result.stderr
    assert page.read_text() == "<h1>mine</h1>"
    assert list(page.parent.iterdir()) == [page]
    page.unlink()
    assert [CliRunner().invoke(app, command).exit_code for _ in range(2)] == [0, 0]
