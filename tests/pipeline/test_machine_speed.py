"""What blocks took on this machine: kept by finished local runs, read by forecasts alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import machine_speed
from widesweep.pipeline.plan.data import make_plan

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path_factory.mktemp("cache") / "new"
    monkeypatch.setenv(machine_speed.FOLDER, str(made))
    return made


def forecast(path: Path) -> dict[str, float]:
    return json.loads(CliRunner().invoke(app, ["plan", str(path), "--json"]).stdout)  # type: ignore[no-any-return]


def test_the_last_minutes_of_computing_count(folder: Path) -> None:
    """Of a window the longest runs weigh most, then the last; runs too short to tell leave no trace."""
    assert machine_speed.factor() == 1.0
    machine_speed.note(machine_speed.LEAST_S / 2, 100.0)
    assert not folder.exists()
    machine_speed.note(100.0, 50.0)
    assert machine_speed.factor() == 0.5
    machine_speed.note(100.0, 100.0)
    assert machine_speed.factor() == pytest.approx(150.0 / 200.0)
    machine_speed.note(500.0, 1000.0)  # leaves room for half of what was there
    assert machine_speed.factor() == pytest.approx((75.0 + 1000.0) / 600.0)
    machine_speed.note(700.0, 700.0)
    assert machine_speed.factor() == 1.0
    assert len(list(folder.iterdir())) == 1


def test_a_forecast_follows_and_the_plan_does_not(folder: Path, write_config: Write) -> None:
    """Half the core seconds, and less wall time; blocks are what they were."""
    path = write_config(training={"steps": 20_000_000})
    first = forecast(path)
    blocks = list(make_plan(sweep_config.load(path), 2).block_seconds())
    machine_speed.note(100.0, 50.0)
    second = forecast(path)
    assert (first["speed_factor"], second["speed_factor"]) == (1.0, 0.5)
    assert second["core_s"] == pytest.approx(0.5 * first["core_s"])
    assert second["wall_s"] < first["wall_s"]
    assert list(make_plan(sweep_config.load(path), 2).block_seconds()) == blocks
    assert "as blocks took here: 0.50 times" in CliRunner().invoke(app, ["plan", str(path)]).stdout


@pytest.mark.usefixtures("in_process")
def test_a_finished_run_tells(folder: Path, write_config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time that its blocks held their cores, which is no less than what they computed in it."""
    monkeypatch.setattr(machine_speed, "LEAST_S", 0.0)
    path = write_config()
    sweep = sweep_config.load(path)
    store = run(sweep, sweep.config.store)
    computed = float(store.run_attributes()["core_s"]) / make_plan(sweep, 2).total_s
    assert 0.9 * computed < machine_speed.factor() < 10.0 * computed


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"forecast_s": 0, "core_s": 1}', '{"forecast_s": NaN, "core_s": 1}']
)
def test_a_file_that_says_nothing_is_as_none(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "speed.json").write_text(text)
    assert machine_speed.factor() == 1.0


def test_who_has_no_home_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container under a number that no user has."""

    def none(_: type[Path]) -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv(machine_speed.FOLDER)
    monkeypatch.setattr(Path, "home", classmethod(none))
    machine_speed.note(100.0, 50.0)
    assert machine_speed.factor() == 1.0


def test_a_folder_that_cannot_be_written_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine_speed.FOLDER, "/dev/null/nothing-is-kept")
    machine_speed.note(100.0, 50.0)
    assert machine_speed.factor() == 1.0
