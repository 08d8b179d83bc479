"""A sweep of convolutional networks: images from a file, theory in the store, laws that speak of it."""

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
from widesweep.pipeline.plan.data import load_data, make_plan
from widesweep.theory.activations import RELU
from widesweep.theory.convolution.convolutional_kernels import convolutional_kernels

Write = Callable[..., Path]
IMAGES = np.random.default_rng(4).standard_normal((6, 3, 4, 2))
NETWORK = {"kind": "convolutional", "readout": "pool"}


@pytest.fixture
def lab(tmp_path: Path, write_config: Write) -> Write:
    """Writes images beside a config of convolutional networks over them."""

    def write(x: np.ndarray = IMAGES, network: dict[str, Any] | None = None, **sections: Any) -> Path:
        np.savez(tmp_path / "images.npz", x=x, y=np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0]))
        data = {"source": "images.npz", "samples": 4, "inputs": None}
        return write_config(network=network or NETWORK, data=data, initialization=None, **sections)

    return write


def test_a_sweep_over_images_runs_from_plan_to_laws(lab: Write, tmp_path: Path, in_process: None) -> None:
    """The store's kernel is the recursion's on unit images times √P; cells train; the rate law speaks."""
    sweep = configs.load(lab(training={"steps": 40, "records": 10, "measure": ["loss", "kernel", "drift"]}))
    assert sweep.config.network.shape == (3, 4, 2)
    assert len(make_plan(sweep, 2)) > 0
    data = load_data(sweep)
    assert data is not None
    store = run(sweep, str(tmp_path / "small.zarr"))
    with xr.open_datatree(store.url, engine="zarr") as tree:
        theory, training = tree["theory"].load(), tree["training"].load()
    images = data.x.reshape(4, 3, 4, 2) * np.sqrt(12.0)
    expected = convolutional_kernels(images, 2, RELU, weight_variance=2.0, readout="pool")
    np.testing.assert_allclose(theory["infinite_ntk"].sel(depth=2), expected.ntk, rtol=1e-12)
    np.testing.assert_allclose(theory["infinite_nngp"].sel(depth=2), expected.nngp, rtol=1e-12)
    assert theory.attrs["inputs"] == 3 * 3 * 2
    assert np.isfinite(theory["rate_predicted"]).all()
    assert (training["status"] == 1).all()
    assert (training["loss"][..., -1] < training["loss"][..., 0]).all()
    laws = analysis.analyze(store.url)["laws"]
    assert laws["convergence_rate_own_kernel"]["verdict"] != "not_applicable"


def test_digits_have_their_own_shape(write_config: Write) -> None:
    """8 × 8 pixels of one channel, in the resolved config and so in the store."""
    path = write_config(network=NETWORK, data={"source": "digits", "inputs": None}, initialization=None)
    assert json.loads(configs.load(path).config.json_text())["network"]["image"] == [8, 8, 1]


def test_rows_of_numbers_are_images_where_the_config_says_so(lab: Write) -> None:
    """Flattened images of a file, and their shape."""
    flat = IMAGES.reshape(6, 24)
    sweep = configs.load(lab(flat, {**NETWORK, "image": [4, 6]}))
    assert sweep.config.network.shape == (4, 6, 1)


REFUSED = {
    "rows of numbers": ({"x": IMAGES.reshape(6, 24)}, "network.image: it is missing"),
    "another size": ({"network": {**NETWORK, "image": [3, 3]}}, "3 × 3 × 1 is not 24"),
    "channels first": ({"x": np.zeros((6, 3, 8, 8))}, "channels last"),
    "five dimensions": ({"x": np.zeros((6, 3, 8, 8, 1))}, "none empty"),
    "images for rows": ({"network": {"kind": "fully_connected"}}, "network.kind convolutional"),
    "an even filter": ({"network": {**NETWORK, "kernel": 2}}, "odd"),
}


@pytest.mark.parametrize(("changes", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_image_is_told_before_anything_starts(
    lab: Write, tmp_path: Path, changes: dict[str, Any], told: str, in_process: None
) -> None:
    """One message, no store."""
    with pytest.raises(InputError, match=told):
        run(configs.load(lab(**changes)), str(tmp_path / "small.zarr"))
    assert not list(tmp_path.glob("*.zarr"))
