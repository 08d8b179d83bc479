"""Sweeps on a real Ray cluster: the same bits whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr
from typer.testing import CliRunner

from tests.pipeline.conftest import measured_bytes, start, wait_until
from tests.tolerances import EXACT
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import worker
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import blocks
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.store import status
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]
LONG = {
    "grid": {"width": [32, 48], "depth": [1, 2], "seed": 6},
    "training": {"steps": 8000},
    "initialization": None,
}


def run_to(path: Path, url: Path, *settings: str) -> Store:
    return run(sweep_config.load(path, settings), str(url))


@pytest.mark.usefixtures("cluster")
def test_two_runs_give_the_same_bits(write_config: Write, tmp_path: Path) -> None:
    """Every file of the measured groups of two runs is equal, and all cells are done."""
    path = write_config()
    first, second = tmp_path / "a.zarr", tmp_path / "b.zarr"
    assert run_to(path, first).cell_counts() == {"done": 24, "diverged": 0, "failed": 0, "pending": 0}
    run_to(path, second)
    assert measured_bytes(first) == measured_bytes(second)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("change", [{"seeds_per_block": 1}, {"threads": 2}])
def test_block_size_and_threads_change_no_bit(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, int]
) -> None:
    """One seed a block, or two threads a block, give the numbers of the planner's choice."""
    path = write_config(grid={"width": [8, 80]})
    run_to(path, tmp_path / "a.zarr")
    if "threads" in change:
        monkeypatch.setattr(blocks.Plan, "_threads", lambda self, seconds: change["threads"])
    else:
        monkeypatch.setattr(blocks, "_seeds_per_block", lambda *_: change["seeds_per_block"])
    run_to(path, tmp_path / "b.zarr")
    first, second = (xr.open_datatree(tmp_path / name, engine="zarr") for name in ("a.zarr", "b.zarr"))
    for group in ("training", "initialization"):
        for name, array in first[group].data_vars.items():
            np.testing.assert_array_equal(array.values, second[group][name].values, err_msg=str(name))


@pytest.mark.usefixtures("cluster")
def test_past_the_stability_edge_cells_diverge_and_others_finish(write_config: Write, tmp_path: Path) -> None:
    """η = 100/λ_max diverges; that is a result: exit 0, and η = 0.5/λ_max beside it is done."""
    network = {"activation": "linear"}  # a ReLU network can die instead, with a finite residual
    path = write_config(network=network, grid={"learning_rate": [0.5, 100.0]}, training={"steps": 200})
    result = CliRunner().invoke(app, ["run", str(path), "--json"])
    state = json.loads(result.stdout)
    assert result.exit_code == 0
    assert state["cells"] == {"done": 12, "diverged": 12, "failed": 0, "pending": 0}
    assert state["store"] == str(tmp_path / "small.zarr")
    assert state["blocks"] == {"done": 8, "total": 8}
    assert state["running"] is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(tmp_path / "small.zarr", engine="zarr")
    assert (tree["training"]["status"].sel(learning_rate=100.0) == 2).all()
    assert tree["run"].attrs["state"] == "finished"


@pytest.mark.usefixtures("cluster")
def test_classes_are_outputs_all_the_way(write_config: Write, tmp_path: Path) -> None:
    """Three digits: modes for every sample and output, one target for each, one kernel for all."""
    data = {"source": "digits", "inputs": None, "labels": "class", "classes": [3, 5, 8]}
    training = {"measure": ["loss", "kernel", "spectrum"], "steps": 30}
    path = write_config(data=data, training=training, initialization=None)
    assert CliRunner().invoke(app, ["theory", str(path), "--json"]).exit_code == 0
    run_to(path, tmp_path / "a.zarr")
    tree = xr.open_datatree(tmp_path / "a.zarr", engine="zarr")
    theory, measured = tree["theory"].ds, tree["training"].ds
    assert dict(theory.target.sizes) == {"sample": 4, "output": 3}
    assert theory.output.values.tolist() == [3, 5, 8]
    assert theory.infinite_ntk.shape == (2, 4, 4)
    assert measured.sizes["mode"] == 12
    assert (measured.status == 1).all()
    np.testing.assert_allclose(
        measured.ntk_eigenvalue.isel(mode=-1), measured.ntk_min_eigenvalue, rtol=EXACT, atol=EXACT
    )
    assert "laws" in analysis.analyze(str(tmp_path / "a.zarr"))


@pytest.mark.usefixtures("cluster")
def test_only_training_and_only_initialization_are_sweeps(write_config: Write, tmp_path: Path) -> None:
    """Either half of a config runs alone; random networks need no data."""
    run_to(write_config(initialization=None), tmp_path / "a.zarr")
    store = run_to(
        write_config(training=None, data=None, grid={"seed": None, "learning_rate": None}),
        tmp_path / "b.zarr",
    )
    assert store.cell_counts() == {"done": 4, "diverged": 0, "failed": 0, "pending": 0}
    assert "initialization" not in xr.open_datatree(tmp_path / "a.zarr", engine="zarr")


@pytest.mark.usefixtures("cluster")
def test_a_block_with_a_defect_fails_alone(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python exception marks its block's cells failed with the reason; the others finish; exit 1."""
    from widesweep.pipeline.execution import schedule

    real = worker.execute

    def faulty(sweep: Any, block: Any) -> Any:
        if block.index == 2:
            raise ZeroDivisionError("a defect")
        return real(sweep, block)

    monkeypatch.setattr(schedule, "_remote_execute", _remote(faulty))
    result = CliRunner().invoke(app, ["run", str(write_config()), "--json"])
    state = json.loads(result.stdout)
    assert result.exit_code == 1
    assert state["cells"] == {"done": 18, "diverged": 0, "failed": 6, "pending": 0}
    assert state["failures"] == {"2": "ZeroDivisionError: a defect"}


@pytest.mark.usefixtures("cluster")
def test_a_resumed_run_does_only_what_is_pending(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block whose status is gone is computed again, to the same bits, and no other."""
    from widesweep.pipeline.execution import schedule

    path, url = write_config(), tmp_path / "small.zarr"
    run_to(path, url)
    before = measured_bytes(url)
    (url / "training" / "status" / "c" / "1" / "0" / "0" / "0").unlink()
    assert Store(str(url)).pending_blocks().tolist() == [2]
    started: list[int] = []
    resources = schedule._resources
    monkeypatch.setattr(
        schedule,
        "_resources",
        lambda cluster, block, memory: (started.append(block.index), resources(cluster, block, memory))[1],
    )
    run_to(path, url)
    assert started == [2]
    assert measured_bytes(url) == before


def test_a_finished_store_needs_no_cluster(
    write_config: Write, tmp_path: Path, cluster: Any, monkeypatch: Any
) -> None:
    """Running a finished sweep again does nothing, without Ray, and exits 0; another config is refused."""
    from widesweep.pipeline.execution import schedule

    path = write_config()
    run_to(path, tmp_path / "small.zarr")
    monkeypatch.setattr(schedule, "connect", None)
    assert CliRunner().invoke(app, ["run", str(path)]).exit_code == 0
    other = CliRunner().invoke(app, ["run", str(path), "--set", "training.steps=21"])
    assert other.exit_code == 2
    assert "training.steps: 21, there 20" in other.stderr


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_changes_no_bit(write_config: Write, tmp_path: Path) -> None:
    """SIGKILL of a Ray worker in mid-block: the block starts again, the store equals an undisturbed one."""
    path = write_config(**LONG)
    run_to(path, tmp_path / "calm.zarr")
    url = tmp_path / "hit.zarr"
    thread = threading.Thread(target=run_to, args=(path, url))
    thread.start()
    victim = wait_until(_busy_worker, what="a busy worker")
    os.kill(victim, signal.SIGKILL)
    thread.join(120)
    assert not thread.is_alive()
    attempts = np.asarray(xr.open_datatree(url, engine="zarr")["run"]["block_attempts"])
    assert attempts.sum() > len(attempts)
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")


@pytest.mark.usefixtures("cluster")
def test_the_same_command_resumes_after_the_driver_is_killed(write_config: Write, tmp_path: Path) -> None:
    """While the driver lives, status and xarray see what is finished; after kill -9 the bits end the same."""
    path, url = write_config(**LONG), tmp_path / "small.zarr"
    run_to(path, tmp_path / "calm.zarr")
    driver = start("run", str(path))
    try:
        wait_until(lambda: _blocks_done(url) >= 1, what="a finished block")
        driver.send_signal(signal.SIGSTOP)  # it lives, and cannot finish under our eyes
        assert driver.poll() is None, "the sweep is too short to be interrupted"
        assert status.status(str(url))["running"] is True
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            seen = xr.open_datatree(url, engine="zarr")["training"]
            finished = (seen["status"] == 1).values
            assert finished.any()
            assert np.isfinite(seen["loss"].values[finished]).all()
        assert CliRunner().invoke(app, ["run", str(path)]).exit_code == 2
    finally:
        driver.kill()
        driver.communicate()
    assert status.status(str(url))["running"] is False
    run_to(path, url)
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_the_same_command_resumes_after_ctrl_c(write_config: Write, tmp_path: Path) -> None:
    """Ctrl-C exits 130 and says how to resume; the same command ends in an undisturbed run's bits."""
    path, url = write_config(**LONG), tmp_path / "small.zarr"
    calm = run_to(path, tmp_path / "calm.zarr")
    first = start("run", str(path))
    wait_until(lambda: _blocks_done(url) >= 1, what="a finished block")
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "Run the same command again to resume" in told
    assert "Traceback" not in told
    assert status.status(str(url))["running"] is False
    run_to(path, url)
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")
    assert calm.cell_counts()["done"] == 48


@pytest.mark.slow
def test_sigterm_exits_143_and_the_state_is_safe(write_config: Write, tmp_path: Path) -> None:
    """A preempted driver leaves a store that status reads and the same command finishes."""
    path, url = write_config(**LONG), tmp_path / "small.zarr"
    process = start("run", str(path))
    wait_until(lambda: _blocks_done(url) >= 1, what="a finished block")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in told
    assert status.status(str(url))["running"] is False


def test_a_gpu_that_is_not_there_is_an_input_error(write_config: Write, tmp_path: Path, cluster: Any) -> None:
    """device: cuda without a GPU exits 2 and leaves no store."""
    if cluster.gpus:
        pytest.skip("this machine has a GPU")
    result = CliRunner().invoke(app, ["run", str(write_config()), "--set", "compute.device=cuda"])
    assert result.exit_code == 2
    assert "Ray sees no GPU" in result.stderr
    assert not (tmp_path / "small.zarr").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999"])
def test_an_address_without_a_cluster_is_an_input_error(
    address: str, write_config: Write, tmp_path: Path
) -> None:
    """A wrong --address exits 2 within seconds and leaves no store."""
    result = CliRunner().invoke(app, ["run", str(write_config()), "--address", address])
    assert result.exit_code == 2
    assert "no Ray cluster answers" in result.stderr
    assert not (tmp_path / "small.zarr").exists()


def test_learning_rates_are_relative_to_the_kernel(write_config: Write) -> None:
    """η = value / (λ_max c(m)): the same at every width under ntk, growing like m under mean_field."""
    from widesweep.pipeline.predict import prediction

    for kind, ratio in (("ntk", 1.0), ("mean_field", 12 / 8)):
        sweep = sweep_config.load(write_config(network={"parameterization": kind}))
        found = prediction.predict(sweep.config, data_source.load_data(sweep))
        rates = found.learning_rate_absolute
        assert rates[1] / rates[0] == pytest.approx(np.full((2, 2), ratio), rel=1e-12)
        scale = 1.0 if kind == "ntk" else 1 / 8
        assert rates[0, :, 1] * scale * found.values["lambda_max"] == pytest.approx([1.0, 1.0], rel=1e-12)


def test_theory_prints_predictions_alone(write_config: Write, tmp_path: Path) -> None:
    """`theory --json` has λ_min and λ_max by depth, and cumulants; nothing is written."""
    path = write_config()
    result = CliRunner().invoke(app, ["theory", str(path), "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(found["lambda_min"]) == {"1", "2"}
    assert 0 < found["lambda_min"]["1"] < found["lambda_max"]["1"]
    assert found["cumulant_predicted"]["8"]["1"]["4"] > 0
    assert sorted(tmp_path.iterdir()) == [path]


def _remote(function: Callable[..., Any]) -> Any:
    import ray

    return ray.remote(max_retries=0)(function)


def _busy_worker() -> int | None:
    """A Ray worker of this process that has computed for a while."""
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("ray::_remote_ex") and sum(process.cpu_times()[:2]) > 0.5:
                return int(process.pid)
        except psutil.Error:
            continue
    return None


def _blocks_done(url: Path) -> int:
    return int(status.status(str(url))["blocks"]["done"]) if (url / "zarr.json").exists() else 0
