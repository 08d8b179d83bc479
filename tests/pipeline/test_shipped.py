"""Configs to start from, configs based on others, and values from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from widesweep.pipeline.config import merging, shipped
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError

BASE = """
name: base
network: {kind: fully_connected, activation: relu}
data: {source: digits, samples: 4}
grid: {width: [8, 16], depth: [1, 2], seed: 2, learning_rate: [1.0]}
training: {steps: 10}
"""


@pytest.fixture
def write(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def test_a_config_based_on_another_replaces_what_it_names(write: Path) -> None:
    """Mappings merge, lists are replaced, and name and store are its own."""
    file = write / "wider.yaml"
    file.write_text("base: base.yaml\ngrid: {width: [32]}\ntraining: {records: 4}\n")
    found = configs.load(file).config
    assert found.grid.width == (32,)
    assert found.grid.depth == (1, 2)
    assert found.training is not None
    assert (found.training.steps, found.training.records) == (10, 4)
    assert (found.name, found.store) == ("wider", "results/wider.zarr")


def test_a_base_may_be_a_shipped_config_by_name(write: Path) -> None:
    """Installed or not, `base: demo` is the demo."""
    file = write / "mine.yaml"
    file.write_text("base: demo\ngrid: {seed: 2}\n")
    demo, mine = configs.load(shipped.example("demo")).config, configs.load(file).config
    assert mine.grid.width == demo.grid.width
    assert mine.grid.seed == 2


def test_an_error_in_a_base_names_the_base(write: Path) -> None:
    """The message points to the file that has the value; a value of its own points to its own file."""
    (write / "base.yaml").write_text(BASE.replace("[8, 16]", "[8, 0]"))
    file = write / "mine.yaml"
    file.write_text("base: base.yaml\n")
    with pytest.raises(InputError, match=r"base\.yaml, grid\.width\[1\]"):
        configs.load(file)
    file.write_text("base: base.yaml\ngrid: {width: [0]}\n")
    with pytest.raises(InputError, match=r"mine\.yaml, grid\.width\[0\]"):
        configs.load(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: mine.yaml\n", "no config is its own base"),
        ("base: other.yaml\n", "no config is its own base"),
        ("base: nowhere\n", "there is no nowhere"),
        ("base: [1]\n", "it is the path of another config"),
    ],
)
def test_a_base_that_is_none_is_refused(write: Path, text: str, said: str) -> None:
    """One message each; circles too."""
    (write / "other.yaml").write_text("base: mine.yaml\n")
    file = write / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        configs.load(file)


def test_values_come_from_a_file(write: Path) -> None:
    """`--set @file.yaml` merges its mapping; later assignments win."""
    (write / "small.yaml").write_text("grid: {width: [4]}\ntraining: {steps: 3}\n")
    found = configs.load(write / "base.yaml", [f"@{write}/small.yaml", "training.steps=5"]).config
    assert found.grid.width == (4,)
    assert found.training is not None
    assert found.training.steps == 5
    with pytest.raises(InputError, match="no such file"):
        configs.load(write / "base.yaml", [f"@{write}/none.yaml"])


def test_every_shipped_config_says_what_it_shows() -> None:
    """A name, a sentence, and it loads; so does the starter, which explains its keys."""
    names = shipped.names()
    assert {"demo", "mup", "weight_drift"} <= set(names)
    assert all(len(text) > 20 for text in names.values())
    with pytest.raises(InputError, match="demo"):
        shipped.example("dmeo")


def test_the_starter_is_a_config(tmp_path: Path) -> None:
    """It loads as it is, and all but its sections' heads have a comment."""
    file = tmp_path / "sweep.yaml"
    file.write_text(shipped.starter())
    assert configs.load(file).config.name == "my-sweep"
    assert shipped.starter().count("#") > 20


def test_merging_leaves_its_arguments_alone() -> None:
    """A base that two configs share stays what it was."""
    base = {"grid": {"width": [1]}}
    merging.merged_with(base, {"grid": {"width": [2]}})
    assert base == {"grid": {"width": [1]}}


def test_a_shipped_config_is_found_by_its_name_and_a_file_of_that_name_comes_first(
    write: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`widesweep run demo` works wherever the package is installed."""
    monkeypatch.chdir(write)
    assert configs.load(Path("demo")).config.name == "demo"
    (write / "demo").write_text(BASE)
    assert configs.load(Path("demo")).config.name == "base"
