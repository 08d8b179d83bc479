"""A sixth axis is one file: this one makes the bias variance an axis, and everything else knows of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
import xarray as xr
from pydantic import AfterValidator, Field
from typer.testing import CliRunner

from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import axes, sweep_config
from widesweep.pipeline.config.axes.axis import Axis, in_grid, of_grid
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store.reader import Store
from widesweep.workers.choices import ascending
from widesweep.workers.variable import Variable

Write = Callable[..., Path]
NAME = "bias_variance"
Values = Annotated[tuple[float, ...], AfterValidator(ascending)]


def at(config: Any, value: float) -> Any:
    """The config at one bias variance."""
    network = config.network.model_copy(update={NAME: value})
    return in_grid(config, NAME, None).model_copy(update={"network": network})


BIAS_VARIANCE = Axis(
    coordinate=Variable(NAME, (NAME,), "variance C_b of the biases"),
    symbol="C_b",
    values=partial(of_grid, name=NAME),
    along=lambda config, values: in_grid(config, NAME, values),
    at=at,
    predictions=axes.AXES["output_scale"].predictions,
    tables=axes.AXES["output_scale"].tables,
    key=(Values | None, Field(default=None, exclude_if=lambda values: values is None)),
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, in_process: None) -> None:
    """The axis is there for one test."""
    monkeypatch.setitem(axes.AXES, NAME, BIAS_VARIANCE)


def sweep(write_config: Write, grid: dict[str, Any], **network: Any) -> sweep_config.SweepFile:
    grid = {"width": [8, 12], "depth": [2], "seed": 2, "learning_rate": [0.5]} | grid
    return sweep_config.load(write_config(grid=grid, network=network, initialization=None))


def test_each_of_its_values_is_a_sweep_of_its_own(write_config: Write, tmp_path: Path) -> None:
    """Beside an axis of output scales: points have the bits of the sweeps with their two numbers."""
    whole = sweep(write_config, {NAME: [0.0, 0.1]}, output_scale=[1.0, 2.0])
    store = run(whole, str(tmp_path / "whole.zarr"))
    assert store.cell_counts() == {"done": 16, "diverged": 0, "failed": 0, "pending": 0}
    tree = xr.open_datatree(tmp_path / "whole.zarr", engine="zarr")
    assert tree["training"]["loss"].dims[:4] == ("width", "depth", "output_scale", NAME)
    for bias, scale in ((0.0, 2.0), (0.1, 1.0)):
        place = tmp_path / f"{bias}-{scale}.zarr"
        run(sweep(write_config, {}, bias_variance=bias, output_scale=scale), str(place))
        one = xr.open_datatree(place, engine="zarr")
        for group in ("training", "theory"):
            here = tree[group].to_dataset().sel({NAME: bias, "output_scale": scale}, drop=True)
            xr.testing.assert_equal(here, one[group].to_dataset())
    laws = {law.name: law for law in analysis.examine(store.url).law_results}
    assert f"convergence_rate_own_kernel@output_scale=2,{NAME}=0.1" in laws


def test_it_grows(write_config: Write, tmp_path: Path) -> None:
    """A value put between two: old cells stay, and the store is that of a sweep made whole."""
    url = str(tmp_path / "grown.zarr")
    run(sweep(write_config, {NAME: [0.0, 0.2]}), url)
    grown = run(sweep(write_config, {NAME: [0.1]}), url)
    assert grown.config.points == [(0.0,), (0.1,), (0.2,)]
    assert int(Store(url).block_costs()[0].sum()) == 12
    run(sweep(write_config, {NAME: [0.0, 0.1, 0.2]}), str(tmp_path / "fresh.zarr"))
    one, other = (xr.open_datatree(tmp_path / name, engine="zarr") for name in ("grown.zarr", "fresh.zarr"))
    for group in ("training", "theory"):
        xr.testing.assert_identical(one[group].to_dataset(), other[group].to_dataset())


def test_theory_and_messages_know_it(write_config: Write) -> None:
    """Predictions are given for each of its values; a key that is nearly its name is told so."""
    path = write_config(grid={NAME: [0.0, 0.1]})
    found = json.loads(CliRunner().invoke(app, ["theory", str(path), "--json"]).stdout)
    assert found[NAME] == ["0", "0.1"]
    assert found["lambda_max"]["2"]["0.1"] > found["lambda_max"]["2"]["0"]
    assert "C_b" in CliRunner().invoke(app, ["theory", str(path)]).stdout
    told = CliRunner().invoke(app, ["plan", str(write_config(grid={"bias_varianc": [0.0]}))])
    assert told.exit_code == 2
    assert NAME in told.stderr


def test_a_config_without_it_keeps_its_hash(write_config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the axis is registered."""
    there = sweep(write_config, {}).config.hash
    monkeypatch.delitem(axes.AXES, NAME)
    assert sweep(write_config, {}).config.hash == there
