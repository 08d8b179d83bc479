"""Real networks in each regime: the laws expect what they do, and refuse the numbers of another regime."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

from widesweep import analysis
from widesweep.analysis.reading.cell_summary import gather
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run

Write = Callable[..., Path]
DRIFTS = ("weight_drift", "kernel_drift", "layer_drift_operator_1", "layer_drift_frobenius_2")
MEASURED = ["loss", "kernel", "drift", "linearized", "coordinates", "predictions"]
FEATURES = ("coordinate_check_1", "coordinate_check_2", "seed_variance")


def trained(write_config: Write, url: Path, network: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The laws of a sweep of tanh networks with two hidden layers, trained in this process."""
    path = write_config(
        network={"kind": "fully_connected", "activation": "tanh"} | network,
        data={"samples": 8, "inputs": 6, "labels": "random", "test_samples": 16},
        grid={"width": [32, 64, 128, 256], "depth": [2], "seed": 8, "learning_rate": [1.0]},
        training={"steps": 300, "records": 32, "measure": MEASURED} | settings,
        initialization=None,
    )
    run(sweep_config.load(path, ()), str(url))
    return dict(analysis.analyze(url)["laws"])


def claimed(url: Path, **network: Any) -> dict[str, Any]:
    """The laws of the same numbers in a store whose config says something else of the network."""
    root = zarr.open_group(str(url), mode="a", use_consolidated=False)
    config = json.loads(str(root.attrs["config"]))
    config["network"] |= network
    root.attrs["config"] = json.dumps(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(url))
    return dict(analysis.analyze(url)["laws"])


@pytest.mark.slow
def test_mup_learns_features_at_every_width(write_config: Write, in_process: None, tmp_path: Path) -> None:
    """Drifts of slope 0 (hidden Frobenius −½) are consistent; lazy laws do not apply; as ntk they fail."""
    url = tmp_path / "mup.zarr"
    laws = trained(write_config, url, {"parameterization": "mup"})
    assert {name: laws[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "consistent")
    assert [laws[name]["expected"] for name in DRIFTS] == [0.0, 0.0, 0.0, -0.5]
    assert laws["linearization"]["verdict"] == laws["convergence_rate"]["verdict"] == "not_applicable"
    assert {name: laws[name]["verdict"] for name in FEATURES} == dict.fromkeys(FEATURES, "consistent")
    assert [laws[name]["expected"] for name in FEATURES] == [0.0, 0.0, -0.5]
    lazy = claimed(url, parameterization="ntk")
    assert {name: lazy[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "inconsistent")
    assert lazy["linearization"]["verdict"] == "inconsistent"
    assert {lazy[name]["verdict"] for name in FEATURES[:2]} == {"inconsistent"}


@pytest.mark.slow
def test_lazy_training_is_not_mup(write_config: Write, in_process: None, tmp_path: Path) -> None:
    """The reverse control: networks under ntk keep their laws, and fail those of mup."""
    url = tmp_path / "ntk.zarr"
    laws = trained(write_config, url, {"parameterization": "ntk"})
    assert {name: laws[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "consistent")
    assert {name: laws[name]["verdict"] for name in FEATURES} == dict.fromkeys(FEATURES, "consistent")
    rich = claimed(url, parameterization="mup")
    assert {name: rich[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "inconsistent")
    assert {name: rich[name]["verdict"] for name in FEATURES} == dict.fromkeys(FEATURES, "inconsistent")


@pytest.mark.slow
def test_standard_has_its_own_exponents(write_config: Write, in_process: None, tmp_path: Path) -> None:
    """The first layer's −3/2 is consistent under standard, and not under ntk."""
    url = tmp_path / "standard.zarr"
    laws = trained(write_config, url, {"parameterization": "standard"})
    assert {name: laws[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "consistent")
    assert laws["layer_drift_operator_1"]["expected"] == -1.5
    lazy = claimed(url, parameterization="ntk")
    assert lazy["weight_drift"]["verdict"] == lazy["layer_drift_operator_1"]["verdict"] == "inconsistent"


@pytest.mark.slow
def test_noise_has_its_regime(write_config: Write, in_process: None, tmp_path: Path) -> None:
    """SGD's weights drift like descent's; of Langevin no law speaks."""
    sgd = trained(
        write_config, tmp_path / "sgd.zarr", {"parameterization": "ntk"}, optimizer="sgd", batch_size=4
    )
    assert {name: sgd[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "consistent")
    assert sgd["linearization"]["verdict"] == "not_applicable"
    url, warm = tmp_path / "warm.zarr", {"optimizer": "langevin", "temperature": 1e-3}
    hot = trained(write_config, url, {"parameterization": "ntk"}, **warm)
    assert {name: hot[name]["verdict"] for name in DRIFTS} == dict.fromkeys(DRIFTS, "not_applicable")


@pytest.mark.slow
def test_a_model_that_is_linear_is_its_linearisation(
    write_config: Write, in_process: None, tmp_path: Path
) -> None:
    """Trained last layers alone: the distance is rounding, and the law says exact."""
    laws = trained(write_config, tmp_path / "last.zarr", {"parameterization": "ntk", "trains": "last"})
    assert laws["linearization"]["verdict"] == "consistent"
    assert "exact" in laws["linearization"]["note"]


def test_a_store_says_how_many_inputs_its_own_data_have(in_process: None, tmp_path: Path) -> None:
    """The first layer's law needs d: from the store, where the config gives a file alone."""
    np.savez(tmp_path / "own.npz", x=np.random.default_rng(0).standard_normal((6, 7)), y=np.ones(6))
    content = {
        "network": {"kind": "fully_connected"},
        "data": {"source": "own.npz", "samples": 4},
        "grid": {"width": [8], "depth": [1], "seed": 2, "learning_rate": [0.5]},
        "training": {"steps": 4, "records": 3},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    run(sweep_config.load(tmp_path / "own.yaml", ()), str(tmp_path / "own.zarr"))
    assert gather(analysis.open_sweep(tmp_path / "own.zarr"), ()).inputs == 7
