"""Configs made at random from the schema: `plan` and `theory` answer each in words and numbers, and soon."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from typer.testing import CliRunner

from tests.pipeline.config_strategies import configs
from widesweep.pipeline.cli import app

NO_NUMBER = re.compile(r"\b(nan|inf|Infinity)\b", re.IGNORECASE)
GENEROUS_CPU_S = 60.0  # six times the bound of ten seconds on a quiet machine
FIXED = {
    "deadline": None, "database": None, "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("error")


def answered(content: dict[str, Any], folder: Path) -> None:
    """`plan`, `theory` and `theory --json` of a config: a message with exit 2, or numbers without NaN."""
    (folder / "a.yaml").write_text(yaml.safe_dump(content))
    codes = {}
    for command in ("plan", "theory", "theory --json"):
        began = time.process_time()
        with contextlib.chdir(folder):
            done = CliRunner().invoke(app, [*command.split(), "a.yaml"])
        spent = time.process_time() - began
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise AssertionError(f"{command} of {json.dumps(content)}") from done.exception
        assert done.exit_code in (0, 2), done.output
        assert not NO_NUMBER.search(done.output), f"{json.dumps(content)}: {done.output}"
        assert spent < GENEROUS_CPU_S, f"{command} took {spent:.0f} s: {json.dumps(content)}"
        assert done.exit_code == 0 or 1 <= len(done.stderr.splitlines()) <= 5
        if command == "plan" and "compute.memory" in done.stderr:
            continue  # of a machine's memory theory knows nothing
        codes[command] = done.exit_code
        if command == "theory --json" and done.exit_code == 0:
            has_reasons(json.loads(done.stdout))
    if content.get("network", {}).get("kind") == "module":  # of which theory knows nothing
        assert codes.pop("theory") == codes.pop("theory --json") == 2
    assert len(set(codes.values())) == 1, f"{codes}: {json.dumps(content)}"


def has_reasons(found: dict[str, Any]) -> None:
    """Whatever is null has a reason beside it."""
    empty = {name for name, value in found.items() if "null" in json.dumps(value)}
    assert empty == set(found.get("reasons", {}))


@seed(22)
@settings(max_examples=25, **FIXED)
@given(content=configs())
def test_25_configs_are_answered(content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """No traceback, no warning, no NaN; and what `theory` refuses, `plan` refuses."""
    answered(content, tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10))
def test_two_thousand_configs_are_answered(part: int, tmp_path: Path) -> None:
    """The same at length, 200 in each part."""

    @seed(2200 + part)
    @settings(max_examples=200, **FIXED)
    @given(content=configs())
    def each(content: dict[str, Any]) -> None:
        answered(content, tmp_path)

    each()


def test_a_value_missing_from_a_list_has_its_reason(tmp_path: Path) -> None:
    """Joint cumulants are a table for each width and depth, in which theory knows only the diagonal."""
    grid = {"width": [33], "depth": [1]}
    drawn = {"measure": ["joint_cumulants"], "draws": 1000}
    network, data = {"kind": "random_features"}, {"source": "sphere"}
    answered({"network": network, "data": data, "grid": grid, "initialization": drawn}, tmp_path)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("network.activation={leaky: [0, 0]}", "both slopes are 0"),
        ("network.activation={leaky: [1, 1.7e308]}", "leave float64"),
        ("network.weight_variance=1e308", "network"),
        ("network.weight_variance=1e-300", "network"),
        ("network.output_scale=1e300", "network"),
        ("network.output_scale=1e-200", "network"),
        ("network={kind: resnet, residual_scale: 1e200}", "network"),
        ("data.samples=10000000000", "than 8 GB"),
        ("data.test_samples=10000000000", "than 8 GB"),
        ("data.inputs=100000000000", "than 8 GB"),
        ("grid.depth=[2147483647]", "from 1 to 10,000"),
        ("data={source: nan.npz, samples: 2}", "missing (nan)"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "theory", "run"])
def test_limits_are_known_before_anything_starts(
    command: str, setting: str, told: str, write_config: Any, tmp_path: Path
) -> None:
    """The same refusal in `plan`, `theory` and `run`; nothing is written."""
    np.savez(tmp_path / "nan.npz", x=[[1.0, 2.0], [np.nan, 1.0], [0.0, 1.0]], y=[1.0, -1.0, 1.0])
    path = write_config(initialization=None, compute={"memory": "8GB"})
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(app, [command, str(path), "--set", setting])
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["plan", "theory", "run"])
def test_rates_at_which_wide_networks_diverge_are_told(
    command: str, write_config: Any, in_process: None
) -> None:
    """One line for the rate above the critical one, and none for the others; the command goes on."""
    path = write_config(initialization=None)
    done = CliRunner().invoke(app, [command, str(path), "--set", "grid.learning_rate=[0.5, 50.0, 1.99]"])
    assert done.exit_code == 0, done.output
    told = [line for line in done.stderr.splitlines() if "makes wide networks diverge" in line]
    assert len(told) == 1
    assert "grid.learning_rate: 50" in told[0]


def test_labels_that_cannot_be_corrupted_are_told_with_the_file(write_config: Any, tmp_path: Path) -> None:
    """An axis of corrupted fractions over labels of many values: the config's name is in the message."""
    x = np.random.default_rng(0).standard_normal((8, 3))
    np.savez(tmp_path / "many.npz", x=x, y=np.arange(8.0))
    path = write_config(
        data={"source": "many.npz"}, grid={"corrupted_fraction": [0.0, 0.5]}, initialization=None
    )
    done = CliRunner().invoke(app, ["plan", str(path), "--set", "data.inputs=null"])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"{path}, grid.corrupted_fraction: ")
