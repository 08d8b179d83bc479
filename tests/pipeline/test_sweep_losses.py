"""Losses of a sweep: named, one's own, refused with their labels, and what theory and laws say of them."""

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
from widesweep.pipeline.plan.data import load_data
from widesweep.pipeline.predict import tables

Write = Callable[..., Path]
GRID = {"width": [8, 12, 16], "depth": [1], "seed": 2, "learning_rate": [0.5]}
CLASSES = {
    "source": "digits",
    "samples": 8,
    "test_samples": 4,
    "labels": "class",
    "classes": [0, 1, 2],
    "inputs": None,
}
OWN = "def log_cosh(f, y):\n    return (f - y).cosh().log().sum(-1)\n"


def written(write_config: Write, loss: Any, **sections: Any) -> Path:
    training = {"loss": loss, "measure": ["loss", "kernel", "accuracy"], **sections.pop("training", {})}
    return write_config(**{"grid": GRID, "initialization": None, "training": training, **sections})


def test_classes_train_on_cross_entropy(write_config: Write, tmp_path: Path, in_process: None) -> None:
    """The loss falls, accuracies are shares, and laws of the squared loss abstain."""
    url = str(tmp_path / "small.zarr")
    measure = ["loss", "kernel", "drift", "accuracy", "test_accuracy"]
    run(
        configs.load(written(write_config, "cross_entropy", data=CLASSES, training={"measure": measure})), url
    )
    training = xr.open_datatree(url, engine="zarr")["training"].to_dataset()
    assert (training.loss.isel(step=-1) < training.loss.isel(step=0)).all()
    for name, points in (("accuracy", 8), ("test_accuracy", 4)):
        shares = training[name].values * points
        np.testing.assert_allclose(shares, shares.round(), atol=1e-12)
    laws = analysis.analyze(url)["laws"]
    assert laws
    assert {each["verdict"] for each in laws.values()} == {"not_applicable"}
    assert all("cross_entropy: the law is of the squared loss" in each["note"] for each in laws.values())


def test_a_loss_of_ones_own_is_kept_with_its_digest(
    write_config: Write, tmp_path: Path, in_process: None
) -> None:
    """It trains, the store names it, other code is refused, and its store is read without it."""
    url, path = str(tmp_path / "small.zarr"), written(write_config, "my_lab:log_cosh")
    (tmp_path / "my_lab.py").write_text(OWN)
    store = run(configs.load(path), url)
    assert [each["kind"] for each in json.loads(store.attributes["plug_ins"])] == ["loss"]
    (tmp_path / "my_lab.py").write_text(OWN + "# other\n")
    more = written(write_config, "my_lab:log_cosh", grid={**GRID, "seed": 3})
    with pytest.raises(InputError, match="its code has changed"):
        run(configs.load(more), url)
    (tmp_path / "my_lab.py").unlink()
    assert analysis.analyze(url)["laws"]


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "numbers for the logistic loss": ("logistic", {}, "takes labels −1 and 1"),
    "numbers for classes": ("cross_entropy", {}, "single numbers"),
    "a name that is none": ("logistik", {}, "the nearest is 'logistic'"),
    "no such module": ("my_labs:l", {}, "No module named"),
    "a wrong shape": ("my_lab:whole", {}, r"shape \(\)"),
    "a defect": ("my_lab:broken", {}, "ZeroDivisionError"),
    "a width of none": ({"huber": 0.0}, {}, "huber"),
    "a linearised model": ("huber", {"measure": ["loss", "linearized"]}, "the loss is not squared"),
}


@pytest.mark.parametrize(("loss", "training", "told"), REFUSED.values(), ids=REFUSED)
def test_what_a_loss_does_not_take_is_refused(
    write_config: Write, tmp_path: Path, loss: Any, training: dict[str, Any], told: str, in_process: None
) -> None:
    """One message that names training.loss or training.measure; no store."""
    (tmp_path / "my_lab.py").write_text(
        "def whole(f, y):\n    return (f - y).sum()\n\ndef broken(f, y):\n    return f / (1 // 0)\n"
    )
    with pytest.raises(InputError, match=told) as caught:
        run(configs.load(written(write_config, loss, training=training)), str(tmp_path / "small.zarr"))
    assert "training" in str(caught.value)
    assert not list(tmp_path.glob("*.zarr"))


def test_theory_predicts_the_squared_loss_alone(write_config: Write) -> None:
    """Spectra are those of any loss; rates and steps are none, and the reason is the loss."""
    found = {}
    for loss in ("squared", "huber"):
        sweep = configs.load(written(write_config, loss))
        found[loss] = tables.predictions(sweep.config, load_data(sweep))
    assert found["huber"]["lambda_min"] == found["squared"]["lambda_min"]
    for name in ("rate_predicted", "steps_predicted"):
        assert found["huber"][name] == {"1": {"0.5": None}}
        assert "the loss is not squared" in found["huber"]["reasons"][name]
        assert found["squared"][name]["1"]["0.5"] is not None
    assert found["huber"]["width_required"] == {"1": None}
