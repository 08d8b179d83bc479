"""Commands that start from a config or list what is there: `init`, `config`, `list`; help of all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import typer
import yaml
from typer.testing import CliRunner

from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import listing


def said(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_help_has_a_short_form_and_examples() -> None:
    """Every command answers to -h, in whole sentences, with a line to copy."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert said("-h").exit_code == 0
    for name, command in commands.items():
        short = said(name, "-h")
        assert short.exit_code == 0, short.output
        if not hasattr(command, "commands"):
            assert f"Examples:\n    widesweep {name}" in short.output, name


def test_a_config_to_start_from_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is valid, `config` resolves it, and a second `init` refuses to overwrite it."""
    monkeypatch.chdir(tmp_path)
    assert said("init").exit_code == 0
    resolved = yaml.safe_load(said("config", "sweep.yaml", "--set", "grid.seed=2").output)
    assert resolved["grid"]["seed"] == 2
    assert resolved["training"]["measure"]
    before = Path("sweep.yaml").read_text()
    again = said("init")
    assert (again.exit_code, Path("sweep.yaml").read_text()) == (2, before)
    assert "demo" in said("init", "--list").output
    assert said("init", "demo").exit_code == 0
    assert said("init", "dmeo").exit_code == 2


def test_a_folders_sweeps_are_listed(tmp_path: Path) -> None:
    """Stores in folders below too; what is no sweep is named with the reason; an empty folder says so."""
    assert "No sweep is there." in said("list", str(tmp_path)).output
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    found = json.loads(said("list", str(tmp_path), "--json").output)
    assert list(found) == [str(tmp_path / "broken.zarr")]
    assert found[str(tmp_path / "broken.zarr")]["problem"]
    assert said("list", str(tmp_path / "none")).exit_code == 2


@pytest.mark.usefixtures("in_process")
def test_sweeps_of_a_folder_and_of_a_bucket_are_listed_with_their_state(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    """A finished store, in folders below too, on a disk and in an object store."""
    store = tmp_path / "results" / "one.zarr"
    run(configs.load(write_config(initialization=None)), str(store))
    finished = {"done": 24, "diverged": 0, "failed": 0, "pending": 0}
    (found,) = listing.sweeps(str(tmp_path))
    assert (found["store"], found["state"], found["cells"]) == (str(store), "finished", finished)
    fsspec.filesystem("memory").put(str(store), "/sweeps/mine/one.zarr", recursive=True)
    (there,) = listing.sweeps("memory://sweeps")
    assert there == {**found, "store": "memory://sweeps/mine/one.zarr"}


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    """The message has the formats."""
    refused = said("export", str(tmp_path), "--to", "excel")
    assert refused.exit_code == 2
    assert "parquet" in refused.stderr
