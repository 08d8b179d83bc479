"""Sweeps from config to store, under both schedulers: the same bits whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
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
from tests.pipeline.gate import DEADLINE_S, Gate
from tests.pipeline.test_faults import checkpointed
from tests.pipeline.test_loopback import enough, is_loopback, listening
from tests.tolerances import EXACT
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import driver, worker
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import blocks, scheduling
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.store import status
from widesweep.pipeline.store.reader import Store
from widesweep.workers.variable import PENDING

Write = Callable[..., Path]


def run_to(path: Path, url: Path, *settings: str) -> Store:
    return run(sweep_config.load(path, settings), str(url))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scheduler", "processes"), [("ray", "ray", 0), ("processes", "local", 2)])
def test_both_schedulers_give_the_same_bits(
    name: str,
    scheduler: scheduling.Name,
    processes: int,
    write_config: Write,
    tmp_path: Path,
    cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every file of the measured groups is equal: in this process, in two of its own, on Ray."""
    sweep = sweep_config.load(write_config())
    names: dict[str, tuple[scheduling.Name, int]] = {"a": ("local", 0), name: (scheduler, processes)}
    for each, (chosen, beside) in names.items():
        monkeypatch.setattr(scheduling, "processes", lambda plan, beside=beside: beside)
        store = run(sweep, str(tmp_path / each), scheduler=chosen)
        assert store.cell_counts() == {"done": 24, "diverged": 0, "failed": 0, "pending": 0}
    here, there = (measured_bytes(tmp_path / each) for each in names)
    assert here == there


def test_a_small_local_sweep_does_without_ray(write_config: Write, tmp_path: Path) -> None:
    """`plan` says so, `run` never imports Ray; on a cluster, or forecast to be long, it is Ray."""
    path = write_config(training=None, data=None, grid={"width": [8], "depth": [1]})
    assert "without Ray" in CliRunner().invoke(app, ["plan", str(path)]).stdout
    code = f"""
import sys
from widesweep.pipeline.cli import app
try: app(["run", {str(path)!r}])
except SystemExit as end: assert not end.code
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert Store(str(tmp_path / "small.zarr")).cell_counts()["done"] == 1
    path = write_config()
    sweep = sweep_config.load(path, ["grid.seed=20000", "training.steps=20000"])
    plan = data_source.make_plan(sweep, 2)
    assert scheduling.choice(plan) == "ray"
    assert scheduling.choice(data_source.make_plan(sweep_config.load(path), 2), "10.0.0.1:6379") == "ray"


@pytest.mark.parametrize("options", [("--scheduler", "slurm"), ("--scheduler", "local", "--address", "h:1")])
def test_a_scheduler_that_cannot_be_is_an_input_error(options: tuple[str, ...], write_config: Write) -> None:
    """An unknown name, and this machine's processes on another's cluster, exit 2."""
    result = CliRunner().invoke(app, ["run", str(write_config()), *options])
    assert result.exit_code == 2
    assert "--scheduler" in result.stderr


@pytest.mark.parametrize("change", [{"seeds_per_block": 1}, {"threads": 2}])
def test_block_size_and_threads_change_no_bit(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, int]
) -> None:
    """One seed a block, or two threads a block, give the numbers of the planner's choice."""
    path = write_config(grid={"width": [8, 80]})
    run_to(path, tmp_path / "a.zarr")
    if "threads" in change:
        monkeypatch.setattr(blocks.Plan, "threads_of", lambda self, seconds: change["threads"])
    else:
        monkeypatch.setattr(blocks, "balanced_seeds", lambda *_: change["seeds_per_block"])
    run_to(path, tmp_path / "b.zarr")
    first, second = (xr.open_datatree(tmp_path / name, engine="zarr") for name in ("a.zarr", "b.zarr"))
    for group in ("training", "initialization"):
        for name, array in first[group].data_vars.items():
            np.testing.assert_array_equal(array.values, second[group][name].values, err_msg=str(name))


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


def test_only_training_and_only_initialization_are_sweeps(write_config: Write, tmp_path: Path) -> None:
    """Either half of a config runs alone; random networks need no data."""
    run_to(write_config(initialization=None), tmp_path / "a.zarr")
    store = run_to(
        write_config(training=None, data=None, grid={"seed": None, "learning_rate": None}),
        tmp_path / "b.zarr",
    )
    assert store.cell_counts() == {"done": 4, "diverged": 0, "failed": 0, "pending": 0}
    assert "initialization" not in xr.open_datatree(tmp_path / "a.zarr", engine="zarr")


@pytest.mark.usefixtures("in_process")
def test_a_block_with_a_defect_fails_alone(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python exception marks its block's cells failed with the reason; the others finish; exit 1."""
    real = worker.execute

    def faulty(sweep: Any, block: Any) -> Any:
        if block.index == 2:
            raise ZeroDivisionError("a defect")
        return real(sweep, block)

    monkeypatch.setattr(worker, "execute", faulty)
    result = CliRunner().invoke(app, ["run", str(write_config()), "--json"])
    state = json.loads(result.stdout)
    assert result.exit_code == 1
    assert state["cells"] == {"done": 18, "diverged": 0, "failed": 6, "pending": 0}
    assert state["failures"] == {"2": "ZeroDivisionError: a defect"}


@pytest.mark.usefixtures("in_process")
def test_a_resumed_run_does_only_what_is_pending(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block whose status is gone is computed again, to the same bits, and no other."""
    path, url = write_config(), tmp_path / "small.zarr"
    run_to(path, url)
    before = measured_bytes(url)
    (url / "training" / "status" / "c" / "1" / "0" / "0" / "0").unlink()
    assert Store(str(url)).blocks_with(PENDING).tolist() == [2]
    started: list[int] = []
    real = worker.execute
    monkeypatch.setattr(
        worker, "execute", lambda sweep, block: (started.append(block.index), real(sweep, block))[1]
    )
    run_to(path, url)
    assert started == [2]
    assert measured_bytes(url) == before


def test_a_finished_store_needs_no_scheduler(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running a finished sweep again starts nothing, and exits 0; another config is refused."""
    path = write_config()
    run_to(path, tmp_path / "small.zarr")
    monkeypatch.setattr(driver, "LocalScheduler", None)
    assert CliRunner().invoke(app, ["run", str(path)]).exit_code == 0
    other = CliRunner().invoke(app, ["run", str(path), "--set", "training.steps=21"])
    assert other.exit_code == 2
    assert "training.steps: 21, there 20" in other.stderr


@pytest.mark.parametrize("scheduler", ["ray", pytest.param("local", marks=pytest.mark.slow)])
def test_a_killed_worker_changes_no_bit(
    scheduler: scheduling.Name,
    write_config: Write,
    tmp_path: Path,
    cluster: Any,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL of a worker in mid-block: the block starts again, the store equals an undisturbed one."""
    sweep, url = sweep_config.load(write_config(**gate.sections)), tmp_path / "hit.zarr"
    monkeypatch.setattr(scheduling, "processes", lambda plan: 0)
    run(sweep, str(tmp_path / "calm.zarr"), scheduler="local")
    monkeypatch.setattr(scheduling, "processes", lambda plan: 1)
    gate.close()
    thread = threading.Thread(target=run, args=(sweep, str(url)), kwargs={"scheduler": scheduler})
    thread.start()
    gate.step_until(lambda: checkpointed(url), what="a flush")
    os.kill(wait_until(_worker, what="a worker"), signal.SIGKILL)
    gate.open()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    attempts = np.asarray(xr.open_datatree(url, engine="zarr")["run"]["block_attempts"])
    assert attempts.sum() > len(attempts)
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")


@pytest.mark.usefixtures("in_process")
def test_the_same_command_resumes_after_the_driver_is_killed(
    write_config: Write, tmp_path: Path, gate: Gate
) -> None:
    """While the driver lives, status and xarray see what is finished; after kill -9 the bits end the same."""
    path, url = write_config(**gate.sections), tmp_path / "small.zarr"
    run_to(path, tmp_path / "calm.zarr")
    gate.close()
    first = start("run", str(path), "--scheduler", "local")
    try:
        gate.step_until(lambda: _blocks_done(url), what="a finished block")
        assert first.poll() is None
        assert status.status(str(url))["running"] is True
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            seen = xr.open_datatree(url, engine="zarr")["training"]
            finished = (seen["status"] == 1).values
            assert 0 < finished.sum() < finished.size
            assert np.isfinite(seen["loss"].values[finished]).all()
        refused = CliRunner().invoke(app, ["run", str(path)])
        assert refused.exit_code == 2
        assert f"(process {first.pid}) is writing to it" in refused.stderr
    finally:
        first.kill()
        first.communicate()
    assert status.status(str(url))["running"] is False
    gate.open()
    run_to(path, url)
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", scheduling.NAMES)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_same_command_resumes_after_a_signal(
    scheduler: str, number: int, code: int, write_config: Write, tmp_path: Path, gate: Gate
) -> None:
    """Ctrl-C exits 130, SIGTERM 143; it says how to resume, the same command ends in calm bits."""
    path, url = write_config(**gate.sections), tmp_path / "small.zarr"
    run_to(path, tmp_path / "calm.zarr")
    gate.close()
    first = start("run", str(path), "--scheduler", scheduler)
    gate.step_until(lambda: _blocks_done(url), what="a finished block")
    first.send_signal(number)
    gate.step_until(lambda: first.poll() is not None, what="its end")
    _, told = first.communicate()
    assert first.returncode == code
    assert "Run the same command again to resume" in told
    assert "Traceback" not in told
    assert status.status(str(url))["running"] is False
    assert status.status(str(url))["cells"]["pending"] > 0
    gate.open()
    run_to(path, url)
    assert measured_bytes(url) == measured_bytes(tmp_path / "calm.zarr")


def test_a_local_sweep_listens_on_the_loopback_address_alone(
    write_config: Write, tmp_path: Path, cluster: Any
) -> None:
    """Every socket of the driver, of Ray and of a worker that has computed."""
    path = write_config(training=None, data=None, grid={"width": [8], "depth": [1]})
    run(sweep_config.load(path), str(tmp_path / "a.zarr"))
    seen = wait_until(lambda: enough(listening(os.getpid())), what="Ray's listeners")
    assert all(is_loopback(address) for _, address in seen), seen


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
    """η = value / (λ_max c(m)): the same at every width under ntk, growing like m under mup."""
    from widesweep.pipeline.predict import prediction

    for kind, ratio in (("ntk", 1.0), ("mup", 12 / 8)):
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


def _worker() -> int | None:
    """A worker of this process, Ray's with a block or one of the local scheduler's."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            ours = "local_worker" in " ".join(process.cmdline())
            if ours or process.name().startswith("ray::block"):
                return int(process.pid)
    return None


def _blocks_done(url: Path) -> int:
    return int(status.status(str(url))["blocks"]["done"]) if (url / "zarr.json").exists() else 0
