"""`grid.corrupted_fraction`: labels as one more axis of the grid, in the store, in growth and in theory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from tests.pipeline.conftest import measured_bytes
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]
FRACTIONS = (0.0, 0.5, 0.25)


def run_to(path: Path, url: Path, *settings: str) -> Store:
    return run(sweep_config.load(path, settings), str(url))


def along(*fractions: float) -> str:
    return f"grid.corrupted_fraction={list(fractions)}"


@pytest.fixture
def small(write_config: Write) -> Path:
    """Twelve cells for each fraction."""
    return write_config(
        network={"kind": "fully_connected", "centered": True},
        data={"source": "digits", "samples": 8, "inputs": None},
        grid={"width": [8], "depth": [1, 2], "seed": 3, "learning_rate": [0.5, 1.0]},
        initialization=None,
    )


@pytest.mark.parametrize("labels", ["class", pytest.param("parity", marks=pytest.mark.slow)])
def test_each_fraction_holds_the_numbers_of_a_sweep_of_its_own(
    labels: str, small: Path, tmp_path: Path, trained: list[Any]
) -> None:
    """Measured values and theory equal, bit for bit, those of the sweep whose labels are corrupted so."""
    rule = f"data.labels={labels}"
    whole = run_to(small, tmp_path / "whole.zarr", along(*FRACTIONS), rule)
    assert whole.cell_counts() == {"done": 36, "diverged": 0, "failed": 0, "pending": 0}
    tree = analysis.open_sweep(tmp_path / "whole.zarr")
    assert tree["training"]["loss"].dims[:4] == ("width", "depth", "corrupted_fraction", "seed")
    assert tree["theory"]["target"].dims[:2] == ("corrupted_fraction", "sample")
    assert "corrupted_fraction" not in tree["theory"]["infinite_ntk"].dims
    for fraction in FRACTIONS[1:]:
        one = tmp_path / f"{fraction}.zarr"
        run_to(small, one, f"data.corrupted_fraction={fraction}", rule)
        own = analysis.open_sweep(one)
        for group in ("training", "theory"):
            here = tree[group].to_dataset().sel(corrupted_fraction=fraction, drop=True)
            assert "corrupted_fraction" not in own[group].dims
            xr.testing.assert_equal(here, own[group].to_dataset())
    losses = tree["training"]["loss"].isel(step=-1).values
    assert not np.array_equal(losses[:, :, 0], losses[:, :, 1])


def test_new_fractions_compute_their_own_cells_and_touch_no_old_byte(
    small: Path, tmp_path: Path, trained: list[Any]
) -> None:
    """Grown by one value in the middle: the old chunks keep their bytes, and a sweep made whole agrees."""
    url = tmp_path / "grown.zarr"
    run_to(small, url, along(0.0, 0.5))
    before = {v for k, v in measured_bytes(url).items() if k.startswith("training/loss/c")}
    trained.clear()
    store = run_to(small, url, along(0.0, 0.25, 0.5))
    assert len(trained) == len(set(trained)) == 12
    assert store.cell_counts()["done"] == 36
    assert before
    assert before <= {v for k, v in measured_bytes(url).items() if k.startswith("training/loss/c")}
    run_to(small, tmp_path / "fresh.zarr", along(0.0, 0.5, 0.25))
    one, other = (xr.open_datatree(tmp_path / name, engine="zarr") for name in ("grown.zarr", "fresh.zarr"))
    for group in ("training", "theory"):
        xr.testing.assert_identical(one[group].to_dataset(), other[group].to_dataset())


@pytest.mark.parametrize(("first", "second"), [((), (0.0, 0.5)), ((0.0,), ())])
def test_a_fraction_does_not_become_an_axis_nor_an_axis_a_fraction(
    first: Any, second: Any, small: Path, tmp_path: Path, trained: list[Any]
) -> None:
    """With and without the axis are different sweeps: the message names the key."""
    run_to(small, tmp_path / "a.zarr", *([along(*first)] if first else []))
    before = measured_bytes(tmp_path / "a.zarr")
    with pytest.raises(InputError, match=r"grid\.corrupted_fraction: "):
        run_to(small, tmp_path / "a.zarr", *([along(*second)] if second else []))
    assert measured_bytes(tmp_path / "a.zarr") == before


def test_an_axis_of_one_value_is_an_axis(small: Path) -> None:
    """It has a hash of its own, as many cells, and comes back from the JSON that stores hold."""
    plain = sweep_config.load(small).config
    listed = sweep_config.load(small, [along(0.0)]).config
    assert listed.hash != plain.hash
    assert listed.cells == plain.cells == 12
    assert sweep_config.of_store(listed.json_text(), "a.zarr") == listed


def test_theory_names_the_steps_of_each_fraction_below_the_depth(small: Path) -> None:
    """λ and η are the same at every fraction, the steps to 1e-6 are not."""
    result = CliRunner().invoke(app, ["theory", str(small), "--json", "--set", along(*FRACTIONS)])
    found = json.loads(result.stdout)
    assert found["corrupted_fraction"] == ["0", "0.25", "0.5"]
    assert isinstance(found["lambda_max"]["1"], float)
    steps = found["steps_predicted"]["1"]
    assert set(steps) == {"0", "0.5", "0.25"}
    assert steps["0"] != steps["0.5"]
    text = CliRunner().invoke(app, ["theory", str(small), "--set", along(*FRACTIONS)]).stdout
    assert len([line for line in text.splitlines() if line.startswith(("1 ", "2 "))]) == 6


def test_one_fraction_is_a_list_of_one(small: Path) -> None:
    """`corrupted_fraction: 0.5` is an axis with one value, as for widths."""
    found = json.loads(
        CliRunner().invoke(app, ["plan", str(small), "--json", "--set", "grid.corrupted_fraction=0.5"]).stdout
    )
    listed = json.loads(CliRunner().invoke(app, ["plan", str(small), "--json", "--set", along(0.5)]).stdout)
    assert found == listed


WRONG = {
    "a duplicate": ([along(0.0, 0.5, 0.5)], "0.5 is there twice"),
    "above one": ([along(0.0, 1.5)], "1.5 is not a corrupted fraction"),
    "an empty list": (["grid.corrupted_fraction=[]"], "an empty list is not a corrupted fraction"),
    "data's own": ([along(0.0, 0.5), "data.corrupted_fraction=0.1"], "give one of the two"),
    "scales": ([along(0.0, 0.5), "network.output_scale=[1, 2]"], "network.output_scale is a list beside it"),
}


@pytest.mark.parametrize(("settings", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_fraction_is_told_in_one_message(
    settings: list[str], told: str, small: Path, tmp_path: Path
) -> None:
    """Exit 2, one line, and no store."""
    sets = [part for each in settings for part in ("--set", each)]
    result = CliRunner().invoke(app, ["run", str(small), *sets])
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [small]


def test_random_networks_alone_take_no_axis_of_labels(write_config: Write) -> None:
    """Labels are what trains."""
    path = write_config(training=None, data=None, grid={"width": [8], "depth": [1]})
    with pytest.raises(InputError, match="it is there and nothing trains"):
        sweep_config.load(path, [along(0.0, 0.5)])
