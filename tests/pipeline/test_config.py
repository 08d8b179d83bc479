"""Every wrong config is answered by one message and exit code 2, and nothing is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError

Write = Callable[..., Path]

WRONG = {
    "an unknown key": ("training.stps=3", "'steps'"),
    "an unknown section": ("trainning=3", "'training'"),
    "a zero width": ("grid.width=[0]", "0 is not a width"),
    "a duplicate width": ("grid.width=[8, 8]", "8 is there twice"),
    "a width that is text": ("grid.width=['8']", "the text '8' is not a width"),
    "a width that is a mapping": ("grid.width={a: 8}", "a mapping is not a width"),
    "a key of another optimiser": ("training.batch_size=2", "it belongs to optimizer sgd"),
    "a key of other networks": (
        "network={kind: two_layer, weight_variance: 2.0}",
        "it belongs to kind fully_connected",
    ),
    "an activation in capitals": ("network.activation=ReLU", "the nearest is 'relu'"),
    "letters in another order": ("network.activation=rleu", "the nearest is 'relu'"),
    "a network with a slip": ("network.kind=resent", "the nearest is 'resnet'"),
    "an optimiser in capitals": ("training.optimizer=SGD", "the nearest is 'sgd'"),
    "a rule in capitals": ("data.labels=Random", "the nearest is 'random'"),
    "a true width": ("grid.width=true", "true is not a width"),
    "no width": ("grid.width=[]", "an empty list"),
    "a huge width": ("grid.width=[99999999999]", "is not a width"),
    "a negative depth": ("grid.depth=[-1]", "-1 is not a depth"),
    "a seed count that is text": ("grid.seed='8'", "the text '8' is not a seed"),
    "a seed count with a fraction": ("grid.seed=8.5", "8.5 is not a seed"),
    "a boolean seed count": ("grid.seed=true", "true is not a seed"),
    "a duplicate seed": ("grid.seed=[1, 1]", "1 is there twice"),
    "a NaN learning rate": ("grid.learning_rate=[.nan]", "not a finite number"),
    "an infinite learning rate": ("grid.learning_rate=[.inf]", "not a finite number"),
    "a zero learning rate": ("grid.learning_rate=[0]", "0 is not a learning rate"),
    "a boolean learning rate": ("grid.learning_rate=[true]", "true is not a learning rate"),
    "steps with a fraction": ("training.steps=10.5", "it must be an integer"),
    "an unknown activation": ("network.activation=rellu", "'relu'"),
    "an unknown network": ("network.kind=transformer", "'transformer' is not known"),
    "an unknown device": ("compute.device=tpu", "'cuda'"),
    "a size that is none": ("compute.memory=12XB", "8GB"),
    "a cell larger than memory": ("compute.memory=100", "compute.memory"),
    "a depth that two_layer lacks": ("network={kind: two_layer}", "2 is not a depth of two_layer"),
    "no data": ("data=null", "training needs it"),
    "nothing to do": ("training=null", "neither `training` nor `initialization`"),
    "a missing file": ("data={source: nowhere.npz}", "does not exist"),
    "a tag that would run code": ("name=!!python/object/apply:os.system [true]", "not allowed"),
    "an index past the end": ("grid.width[7]=3", "has no [7]"),
    "an index into a number": ("training.steps.a=3", "only mappings and lists"),
    "no equals sign": ("grid.width", "KEY=VALUE"),
    "a malformed value": ("grid.width=[1", "--set grid.width=[1"),
}


@pytest.mark.parametrize(("setting", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_told_in_one_message(
    setting: str, told: str, write_config: Write, tmp_path: Path
) -> None:
    """`run` with a wrong value exits 2, says what was wrong, and leaves no store."""
    path = write_config(initialization=None)
    result = CliRunner().invoke(app, ["run", str(path), "--set", setting])
    assert result.exit_code == 2
    assert told in result.stderr
    _assert_one_message(result.stderr)
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("grid.width=64", (64,)),
        ("grid.depth=2", (2,)),
        ("grid.learning_rate=0.5", (0.5,)),
        ("training.measure=loss", ("loss",)),
        ("initialization.orders=4", (4,)),
        ("grid.corrupted_fraction=0.5", (0.5,)),
    ],
)
def test_a_single_value_is_a_list_of_one(setting: str, values: tuple[Any, ...], write_config: Write) -> None:
    """Wherever a config takes a list of values; the resolved config holds the list."""
    config = sweep_config.load(write_config(), [setting]).config
    section, _, key = setting.partition("=")[0].partition(".")
    assert getattr(getattr(config, section), key) == values


FILES = {
    "empty": (b"", "it is empty"),
    "blank": (b"  \n\n", "it is empty"),
    "binary": (b"\x00\xff\xfe\x93NUMPY", "not UTF-8"),
    "a null byte": (b"name: \x00", "small.yaml"),
    "a list": (b"- 1\n- 2\n", "a list of 2"),
    "text": (b"hello", "the text 'hello'"),
    "broken": (b"grid: [1, 2", "line 1"),
    "a key twice": (b"name: a\nname: b\n", "there twice"),
    "a nested key twice": (b"grid: {width: [1], width: [2]}\n", "there twice"),
    "keys that are numbers": (b"1: 2\n", "keys are words"),
    "a python tag": (b"name: !!python/object/apply:os.system ['true']\n", "runs no code"),
    "endless": (b"a: &a [*a]\n", "nested too deeply"),
    "deep": (b"a: " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
    "doubling": (
        b"a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 9)),
        "too large",
    ),
    "huge": (b"name: " + b"x" * (1 << 20), "larger than 1 MiB"),
}


@pytest.mark.parametrize(("content", "told"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize(
    "command", ["plan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("run", "theory"))]
)
def test_a_wrong_file_is_told_in_one_message(command: str, content: bytes, told: str, tmp_path: Path) -> None:
    """Whatever the file holds, every command that reads a config exits 2 with one message."""
    path = tmp_path / "small.yaml"
    path.write_bytes(content)
    result = CliRunner().invoke(app, [command, str(path)])
    assert result.exit_code == 2
    assert told in result.stderr
    _assert_one_message(result.stderr)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_config_that_is_no_file_is_told(name: str, tmp_path: Path) -> None:
    """A missing file or a folder in a config's place exits 2."""
    result = CliRunner().invoke(app, ["plan", str(tmp_path / name)])
    assert result.exit_code == 2
    _assert_one_message(result.stderr)


def test_parallel_inputs_are_named(write_config: Write, tmp_path: Path) -> None:
    """Two parallel rows are an input error that names both and says how to go on."""
    import numpy as np

    np.savez(tmp_path / "points.npz", x=[[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], y=[1.0, 0.0, 1.0])
    data = {"source": "points.npz", "samples": 3, "normalize": "unit", "inputs": None}
    result = CliRunner().invoke(app, ["run", str(write_config(data=data))])
    assert result.exit_code == 2
    assert "parallel" in result.stderr
    assert "drop_parallel" in result.stderr
    _assert_one_message(result.stderr)
    assert not (tmp_path / "small.zarr").exists()


def test_more_samples_than_the_source_has_are_refused(write_config: Write, tmp_path: Path) -> None:
    """The digits are 1797; 5000 of them are an input error."""
    data = {"source": "digits", "samples": 5000, "inputs": None}
    result = CliRunner().invoke(app, ["run", str(write_config(data=data))])
    assert result.exit_code == 2
    assert "1797" in result.stderr
    assert not (tmp_path / "small.zarr").exists()


def test_a_setting_replaces_one_value(write_config: Write) -> None:
    """`--set` reaches mappings and list elements; the rest of the config stays."""
    before = sweep_config.load(write_config()).config
    after = sweep_config.load(write_config(), ["training.steps=7", "grid.width[1]=99", "store=x.zarr"]).config
    assert after.training is not None
    assert after.training.steps == 7
    assert after.grid.width == (8, 99)
    assert after.store == "x.zarr"
    assert after.grid.depth == before.grid.depth


def test_axes_are_kept_in_ascending_order(write_config: Write) -> None:
    """The order in which a config lists the values of an axis is no part of the sweep."""
    listed = {"width": [12, 8], "depth": [2, 1], "seed": [4, 0, 3], "learning_rate": [1.0, 0.5]}
    config, same = (
        sweep_config.load(write_config(network={"output_scale": scales}, grid=grid)).config
        for scales, grid in (
            ([4.0, 0.5], listed),
            ([0.5, 4.0], {axis: sorted(values) for axis, values in listed.items()}),
        )
    )
    assert config == same
    assert config.hash == same.hash
    grid = config.grid
    assert (grid.width, grid.depth, grid.seeds, grid.learning_rates) == (
        (8, 12),
        (1, 2),
        (0, 3, 4),
        (0.5, 1.0),
    )
    assert config.points == [(0.5,), (4.0,)]
    fractions = sweep_config.load(write_config(grid={"corrupted_fraction": [0.5, 0.0]})).config
    assert fractions.points == [(0.0,), (0.5,)]


def test_the_hash_ignores_what_changes_no_number(write_config: Write) -> None:
    """Name, store and compute may change between runs of one sweep; anything else may not."""
    before = sweep_config.load(write_config()).config
    same = sweep_config.load(write_config(), ["name=other", "store=x.zarr", "compute.cpus=1"]).config
    other = sweep_config.load(write_config(), ["training.steps=21"]).config
    assert same.hash == before.hash
    assert other.hash != before.hash
    assert sweep_config.differences(other, before.json_text()) == ["training.steps: 21, there 20"]


def test_a_config_survives_its_own_json(write_config: Write) -> None:
    """What a store keeps of a config is the config."""
    before = sweep_config.load(write_config()).config
    assert sweep_config.of_store(before.json_text(), "a.zarr") == before


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(
        ["", "network", "grid", "training", "data", "compute", "initialization", "grid.width", "seed"]
    ),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_is_accepted_or_explained(write_config: Write, value: Any, place: str) -> None:
    """A random value in a random place is a config, or an input error of at most five lines."""
    path = write_config()
    content: Any = yaml.safe_load(path.read_text())
    if not place:
        content = value
    elif place == "grid.width":
        content["grid"]["width"] = value
    else:
        content[place] = value
    path.write_text(yaml.safe_dump(content))
    with contextlib.suppress(InputError):
        sweep_config.load(path)
    told = CliRunner().invoke(app, ["plan", str(path)])
    assert told.exit_code in (0, 2)
    if told.exit_code:
        _assert_one_message(told.stderr)


def _assert_one_message(text: str) -> None:
    assert "Traceback" not in text
    assert 1 <= len(text.strip().splitlines()) <= 5
    assert text.strip().endswith((".", "?"))
