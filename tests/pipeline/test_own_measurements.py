"""Measurements of one's own: stored, resumed, read without their code, and held to what they declare."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]
LAB = """
import torch
from widesweep import Measurement, Variable

Largest = Measurement.of({"residual_max": "max_i |r_i|"}, lambda record: record.residual.abs().amax(1))

class Spread:
    variables = {"ntk_trace": "tr G(k)", "ntk_mean": "mean entry of G(k)"}
    needs = ("unit_cotangents", "kernel")

    def measure(self, record):
        return record.kernel.diagonal(dim1=1, dim2=2).sum(1), record.kernel.mean((1, 2))

class Margins:
    dims = ("width", "depth", "seed", "learning_rate", "step", "mode")
    variables = (Variable("margin", dims, "y_i αf(x_i)"),)

    def measure(self, record):
        return record.outputs * record.initial.targets

class Sneaks:
    variables = {"trace": "tr G(k), undeclared"}

    def measure(self, record):
        return record.kernel.diagonal(dim1=1, dim2=2).sum(1)

class Scalar:
    variables = {"total": "one number for all cells"}

    def measure(self, record):
        return record.residual.sum()

class Unknown:
    variables, needs = {"a": "a"}, ("kernal",)

    def measure(self, record):
        return record.residual[:, 0]

class Taken:
    variables = {"loss": "another"}

    def measure(self, record):
        return record.residual[:, 0]

class Empty:
    pass

class Linear:
    variables, needs = {"lin": "of the linearised model"}, ("linearized",)

    def measure(self, record):
        return record.linearized.residual[:, 0]
"""
GRID = {"width": [8], "depth": [1, 2], "seed": 2, "learning_rate": [0.5]}


@pytest.fixture
def lab(tmp_path: Path, write_config: Write) -> Callable[..., Path]:
    """Writes my_lab.py and a config that measures some of it."""

    def write(*names: str, **sections: Any) -> Path:
        (tmp_path / "my_lab.py").write_text(LAB)
        training = {"measure": ["loss", "kernel", *(f"my_lab:{name}" for name in names)]}
        training |= sections.pop("training", {})
        return write_config(**{"grid": GRID, "initialization": None, "training": training, **sections})

    return write


def test_what_one_measures_is_stored_grown_and_read_by_plain_xarray(
    lab: Callable[..., Path], tmp_path: Path, in_process: None
) -> None:
    """Numbers, meanings and further dimensions; more seeds join; the file may be gone by then."""
    url = str(tmp_path / "small.zarr")
    run(configs.load(lab("Largest", "Spread", "Margins")), url)
    run(configs.load(lab("Largest", "Spread", "Margins", grid={**GRID, "seed": 3})), url)
    (tmp_path / "my_lab.py").unlink()
    sys.modules.pop("my_lab", None)
    training = xr.open_datatree(url, engine="zarr")["training"].to_dataset()
    assert training.sizes["seed"] == 3
    assert (training.residual_max <= training.residual_norm).all()
    assert (training.residual_max > training.residual_norm / 2 - 1e-12).all()
    assert "max_i |r_i|" in training.residual_max.attrs.values()
    assert (training.ntk_trace > training.ntk_max_eigenvalue).all()
    np.testing.assert_allclose(training.margin.mean("mode").isnull().sum(), 0)
    assert training.margin.dims[-1] == "mode"
    assert Store(url).config.training.measure[-1] == "my_lab:Margins"
    assert "my_lab" not in sys.modules


FAILS = {
    "Sneaks": "reads record.kernel, which its NEEDS do not",
    "Scalar": r"of shape () where (2) is wanted",
}


@pytest.mark.parametrize(("name", "told"), FAILS.items())
def test_one_that_breaks_its_word_fails_its_cells(
    lab: Callable[..., Path], tmp_path: Path, name: str, told: str, in_process: None
) -> None:
    """A quantity that it does not declare, or one number for all cells: the store has the reason."""
    url = str(tmp_path / "small.zarr")
    run(configs.load(lab(name)), url)
    reasons = xr.open_datatree(url, engine="zarr")["failures"].to_dataset().variables.values()
    found = {str(each) for reason in reasons if reason.dtype.kind in "OT" for each in reason.values.ravel()}
    assert found
    assert all(told in reason for reason in found)


REFUSED = {
    "Unknown": "it needs 'kernal', which is none; kernel is",
    "Taken": "loss would be the variable of two measurements",
    "Empty": "it has no variables and no measure",
    "Missing": "has no attribute 'Missing'",
    "Linear": "an update by adam is not linear",
}


@pytest.mark.parametrize(("name", "told"), REFUSED.items())
def test_what_is_no_measurement_is_refused(
    lab: Callable[..., Path], tmp_path: Path, name: str, told: str
) -> None:
    """One message that names training.measure."""
    with pytest.raises(InputError, match=told) as caught:
        configs.load(lab(name, training={"optimizer": "adam"} if name == "Linear" else {}))
    assert "training.measure" in str(caught.value)


def test_a_module_has_what_a_measurement_of_ones_own_needs_or_not(
    lab: Callable[..., Path], tmp_path: Path
) -> None:
    """Kernels it has; a name that is none gets the nearest."""
    with pytest.raises(InputError, match="the nearest is 'kernel'"):
        configs.load(lab(training={"measure": ["loss", "kernell"]}))


@pytest.mark.usefixtures("in_process")
def test_a_stored_config_that_names_modules_imports_none(lab: Callable[..., Path], tmp_path: Path) -> None:
    """A stranger's may name any module of this machine, as its only measurement too."""
    (tmp_path / "planted_lab.py").write_text("raise SystemExit('imported')")
    sweep = configs.load(lab("Largest"))
    text = sweep.config.json_text().replace("my_lab:Largest", "planted_lab:Largest")
    only = json.loads(text)
    only["training"]["measure"] = ["planted_lab:Largest"]
    for stored in (text, json.dumps(only)):
        assert configs.of_store(stored, "a.zarr").training.measure[-1] == "planted_lab:Largest"
    assert "planted_lab" not in sys.modules
