"""Real networks at large rates: the catapult, its limit and the edge of stability, and what refutes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr

from widesweep import analysis
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import inventory

Write = Callable[..., Path]


def trained(write_config: Write, url: Path, grid: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """The laws of a sweep whose rates are in units of 2/λ_max, trained in this process."""
    training = {"learning_rate_unit": "stability", "records": 24, "measure": ["loss", "kernel", "sharpness"]}
    path = write_config(
        network={"kind": "fully_connected"} | sections["network"],
        data={"inputs": 6, "labels": "random"} | sections["data"],
        grid=grid,
        training=training | sections["training"],
        initialization=None,
    )
    run(sweep_config.load(path, ()), str(url))
    return dict(analysis.analyze(url)["laws"])


def claimed(url: Path, **training: Any) -> dict[str, Any]:
    """The laws of the same numbers under another claim about the training."""
    root = zarr.open_group(str(url), mode="a", use_consolidated=False)
    config = json.loads(str(root.attrs["config"]))
    config["training"] |= training
    root.attrs["config"] = json.dumps(config)
    zarr.consolidate_metadata(str(url))
    return dict(analysis.analyze(url)["laws"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning", "ignore:Consolidated metadata")
def test_linear_networks_are_thrown_into_a_flat_place_and_diverge_beyond_four(
    write_config: Write, in_process: None, tmp_path: Path
) -> None:
    """Beyond ηλ0 = 2 they end below 2, as in the Hessian; the limit is 4, and 8 of doubled rates."""
    url = tmp_path / "catapult.zarr"
    laws = trained(
        write_config,
        url,
        {"width": [128], "depth": [1], "seed": 4, "learning_rate": [0.8, 1.4, 1.7, 1.9, 2.15, 2.4]},
        network={"activation": "linear"},
        data={"samples": 4, "inputs": 8},  # fewer samples than inputs: a linear network fits any labels
        training={"steps": 400, "records": 8},
    )
    assert laws["catapult"]["verdict"] == "holds"
    assert laws["flat_minimum"]["verdict"] == "holds"
    assert laws["catapult_limit"]["verdict"] == "consistent"
    assert 3.6 < laws["catapult_limit"]["slope"] < 4.5
    assert laws["catapult"]["points"] >= 4 * 2
    root = zarr.open_group(str(url), mode="r+", use_consolidated=False)
    rates, status = (root[f"training/{name}"] for name in ("learning_rate_absolute", "status"))
    rates[...] = 2.0 * rates[...]
    status[...] = status[...]  # as another program writes: nothing says any more what the block's chunks were
    (url / inventory.PLACE).unlink()
    wrong = analysis.analyze(url)["laws"]
    assert wrong["catapult"]["verdict"] == wrong["flat_minimum"]["verdict"] == "broken"
    assert wrong["catapult_limit"]["verdict"] == "inconsistent"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning", "ignore:Consolidated metadata")
def test_sharpness_rises_to_the_edge_and_stays(write_config: Write, in_process: None, tmp_path: Path) -> None:
    """Narrow networks on more labels than they can fit: ησ = 2 for good, which is no edge of momentum."""
    url = tmp_path / "edge.zarr"
    laws = trained(
        write_config,
        url,
        {"width": [8], "depth": [2], "seed": 10, "learning_rate": [0.25]},
        network={"activation": "tanh", "parameterization": "mup"},
        data={"samples": 64, "inputs": 8},
        training={"steps": 2000, "records": 12},
    )
    assert laws["edge_of_stability"]["verdict"] == "consistent"
    assert laws["edge_of_stability"]["points"] >= 6
    wrong = claimed(url, optimizer="momentum", momentum=0.2)["edge_of_stability"]
    assert wrong["verdict"] != "consistent"
