"""A sweep of a researcher's own architecture: a file beside the config, from plan to verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from widesweep import analysis
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan.data import make_plan

SOURCE = """
import torch
from torch import nn

def make(width, depth, inputs, outputs, slope=0.1):
    layers = []
    for fan_in in [inputs] + [width] * (depth - 1):
        layers += [nn.Linear(fan_in, width), nn.LayerNorm(width), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))

def dropping(width, depth, inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, width), nn.Dropout(), nn.Linear(width, outputs))

def broken(width, depth, inputs, outputs):
    return make(width, depth, inputs)
"""
TRAINING = {"steps": 20, "records": 6, "learning_rate_unit": "absolute", "measure": ["loss", "kernel"]}
Write = Callable[..., Path]


@pytest.fixture
def lab(tmp_path: Path, write_config: Write) -> Callable[..., Path]:
    """Writes my_lab.py and a config that names one of its factories."""
    (tmp_path / "my_lab.py").write_text(SOURCE)

    def write(factory: str = "my_lab:make", training: dict[str, Any] | None = None, **sections: Any) -> Path:
        network = {"kind": "module", "factory": factory, "options": sections.pop("options", {})}
        return write_config(
            network=network, training={**TRAINING, **(training or {})}, initialization=None, **sections
        )

    return write


def test_a_module_of_ones_own_runs_from_plan_to_laws(lab: Write, tmp_path: Path, in_process: None) -> None:
    """Its cells train, its kernel is measured, laws are fitted, and theory claims nothing."""
    sweep = configs.load(lab(grid={"learning_rate": [0.01, 0.02]}))
    assert make_plan(sweep, 2)
    store = run(sweep, str(tmp_path / "small.zarr"))
    with xr.open_datatree(store.url, engine="zarr") as tree:
        training = tree["training"].load()
        assert (training["status"] == 1).all()
        assert (training["loss"][..., -1] < training["loss"][..., 0]).all()
        assert (training["ntk_max_eigenvalue"] > 0).all()
        assert "lambda_min" not in tree["theory"]
    (kept,) = json.loads(store.attributes["plug_ins"])
    assert kept["kind"] == "network"
    (drift,) = [law for name, law in analysis.analyze(store.url)["laws"].items() if name == "kernel_drift"]
    assert "not known" in drift["note"]  # nobody has said how its parameters scale with the width


def test_options_reach_the_factory_and_are_part_of_the_sweep(
    lab: Write, tmp_path: Path, in_process: None
) -> None:
    """Another slope is another sweep: other numbers, another hash."""
    found = {}
    for slope in (0.1, 0.9):
        sweep = configs.load(lab(options={"slope": slope}))
        url = str(tmp_path / f"{slope}.zarr")
        found[sweep.config.hash] = np.asarray(
            xr.open_datatree(run(sweep, url).url, engine="zarr")["training/loss"].values
        )
    one, other = found.values()
    assert not np.allclose(one, other)


REFUSED = {
    "dropout": ({"factory": "my_lab:dropping"}, "leave dropout out"),
    "a defect": ({"factory": "my_lab:broken"}, "TypeError"),
    "a relative learning rate": ({"training": {"learning_rate_unit": "relative"}}, "write absolute"),
    "layers' measurements": ({"training": {"measure": ["loss", "drift"]}}, "a module has loss, kernel"),
    "random networks": ({"initialization": {"draws": 1000}}, "leave it out"),
}


@pytest.mark.parametrize(("changes", "told"), REFUSED.values(), ids=REFUSED)
def test_what_a_module_cannot_do_is_told_before_anything_starts(
    lab: Write, tmp_path: Path, changes: dict[str, Any], told: str, in_process: None
) -> None:
    """One message, no store."""
    path = lab(**{"factory": "my_lab:make", **changes}) if "initialization" not in changes else None
    if path is None:
        path = lab()
        path.write_text(path.read_text() + "initialization: {draws: 1000}\n")
    with pytest.raises(InputError, match=told):
        run(configs.load(path), str(tmp_path / "small.zarr"))
    assert not list(tmp_path.glob("*.zarr"))
