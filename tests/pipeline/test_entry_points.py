"""What an installed package declares under `widesweep.<kind>` has a short name in configs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run

Write = Callable[..., Path]
CODE = """
import torch

def wave(z):
    return torch.tanh(z) + 0.1 * torch.sin(z)

def log_cosh(f, y):
    return (f - y).cosh().log().sum(-1)

class Largest:
    variables = {"residual_max": "max_i |r_i|"}

    def measure(self, record):
        return record.residual.abs().amax(1)
"""
POINTS = """[widesweep.activation]
wave = wide_lab:wave
[widesweep.loss]
log_cosh = wide_lab:log_cosh
[widesweep.measurement]
largest = wide_lab:Largest
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution as an installer leaves it, in a folder of the path."""
    site = tmp_path / "site"
    (info := site / "wide_lab-1.2.dist-info").mkdir(parents=True)
    (site / "wide_lab.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wide-lab\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    (info / "RECORD").write_text("wide_lab.py,,\nwide_lab-1.2.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("wide_lab", None)


def test_entry_points_are_names_in_a_config(
    installed: Path, write_config: Write, tmp_path: Path, in_process: None
) -> None:
    """An activation, a loss and a measurement train and are stored under their short names."""
    path = write_config(
        network={"activation": "wave", "weight_variance": 1.4},
        grid={"width": [8], "depth": [1], "seed": 2, "learning_rate": [0.5]},
        training={"loss": "log_cosh", "measure": ["loss", "largest"]},
        initialization=None,
    )
    url = str(tmp_path / "small.zarr")
    store = run(configs.load(path), url)
    assert store.attributes["plug_ins"].count("wide_lab:") == 3
    training = xr.open_datatree(url, engine="zarr")["training"].to_dataset()
    assert np.isfinite(training.residual_max).all()
    assert (training.residual_max <= training.residual_norm).all()
    with pytest.raises(InputError, match="the nearest is 'wave'"):
        configs.load(write_config(network={"activation": "waves"}))
