"""Faults done to real processes, each of a table: the final store has the bits of an undisturbed run."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr

from tests.pipeline.conftest import ROOT, measured_bytes, start, wait_until
from tests.pipeline.gate import Gate
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import driver as runs
from widesweep.pipeline.execution import scheduler, worker
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import checkpoints
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]
KILLS = 20
# At such rates no cell reaches the rounding floor: every block takes all its steps.
LONG = {
    "grid": {"width": [32, 48], "depth": [1, 2], "seed": 6, "learning_rate": [1e-5, 2e-5]},
    "training": {"steps": 40_000},
    "initialization": None,
    "compute": {"flush_s": 0.3},
}


@pytest.fixture
def calm(tmp_path: Path) -> Callable[[Path], dict[str, bytes]]:
    """The bytes that an undisturbed run of a config leaves."""

    def bytes_of(path: Path) -> dict[str, bytes]:
        run(sweep_config.load(path), str(tmp_path / "calm.zarr"), scheduler="local")
        return measured_bytes(tmp_path / "calm.zarr")

    return bytes_of


def finished(url: Path, calm: dict[str, bytes]) -> None:
    """Exactly the grid, the same bits, nothing left over."""
    counts = Store(str(url)).cell_counts()
    assert (counts["failed"], counts["pending"]) == (0, 0)
    assert measured_bytes(url) == calm
    assert not checkpoints.names(str(url))
    assert not list(url.rglob("*.partial"))


@contextlib.contextmanager
def driver(*arguments: str, folder: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """The command, killed with all that it started when the test ends."""
    process = start(*arguments, folder=folder)
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()
        process.communicate()


def workers(pid: int) -> list[psutil.Process]:
    """Ray workers below a process that execute a block."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::block"):
                found.append(process)
    return found


def guard_of(worker: psutil.Process) -> list[psutil.Process]:
    """The process beside a worker that kills it; it starts once the worker has imported what it needs."""
    try:
        return worker.children()
    except psutil.Error:
        return []


def checkpointed(url: Path) -> bool:
    return (url / checkpoints.PLACE).is_dir() and bool(checkpoints.names(str(url)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_killed_workers_change_no_bit(
    write_config: Write, tmp_path: Path, calm: Any, gate: Gate
) -> None:
    """SIGKILL of a worker at 20 seeded moments of one sweep: each block goes on, no cell is lost."""
    path = write_config(**gate.sections)
    expected, url, moments = calm(path), tmp_path / "small.zarr", random.Random(6)
    killed = 0
    gate.close(4)  # of the 400 calls that a sweep takes; no worker makes more before it is killed
    with driver("run", str(path), "--scheduler", "ray", "--json") as process:
        while killed < KILLS and process.poll() is None:
            at_work = workers(process.pid)
            if not at_work:
                continue
            victim = moments.choice(at_work)
            with contextlib.suppress(psutil.TimeoutExpired, psutil.Error):
                victim.wait(moments.uniform(0.0, 1.0))
            with contextlib.suppress(psutil.Error):
                if victim.is_running() and victim.name().startswith("ray::block"):
                    victim.kill()
                    killed += 1
        gate.open()
        said, told = process.communicate(timeout=400)
    assert killed == KILLS
    assert process.returncode == 0, told
    assert json.loads(said)["cells"] == {"done": 8, "diverged": 0, "failed": 0, "pending": 0}
    assert "Traceback" not in told
    finished(url, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_flushes(
    number: int, code: int, write_config: Write, tmp_path: Path, calm: Any, gate: Gate
) -> None:
    """A signal long before the first flush leaves checkpoints; the same command goes on."""
    path = write_config(**{**gate.sections, "compute": {"flush_s": 86_400, "cpus": 2}})
    expected, url = calm(path), tmp_path / "small.zarr"
    gate.close(12)
    with driver("run", str(path), "--scheduler", "ray") as process:
        wait_until(lambda: gate.is_reached or process.poll() is not None, what="a block at work")
        assert not checkpointed(url)
        process.send_signal(number)
        gate.step_until(lambda: process.poll() is not None, what="its end")
        _, told = process.communicate()
    assert process.returncode == code, told
    assert "Traceback" not in told
    assert checkpointed(url)
    gate.open()
    seen = xr.open_datatree(url, engine="zarr")["training"]
    assert np.isfinite(seen["loss"].values).any()
    assert (seen["status"].values == 0).any()
    run(sweep_config.load(path), str(url))
    finished(url, expected)


@pytest.mark.slow
def test_the_second_signal_ends_at_once(write_config: Write, tmp_path: Path, gate: Gate) -> None:
    """Ctrl-C twice while a worker cannot answer: no grace; the store is read by status."""
    path = write_config(**gate.sections)
    gate.close(4)
    with driver("run", str(path), "--scheduler", "ray") as process:
        wait_until(lambda: gate.is_reached or process.poll() is not None, what="a block at work")
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.0)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)  # with grace it would wait for ever
    assert process.returncode == 130
    assert Store(str(tmp_path / "small.zarr")).cell_counts()["failed"] == 0


def in_thread(path: Path, url: Path) -> threading.Thread:
    thread = threading.Thread(target=run, args=(sweep_config.load(path), str(url)), daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_worker_that_hangs_is_killed_and_its_block_goes_on(
    write_config: Write, tmp_path: Path, calm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is stopped (SIGSTOP) answers nobody: its guard kills it after the block's limit."""
    path, url = write_config(**LONG), tmp_path / "hit.zarr"
    expected = calm(path)
    monkeypatch.setattr(runs, "LIMIT_FLOOR_S", 20.0)
    monkeypatch.setattr(runs, "LIMIT_FACTOR", 0.0)
    thread = in_thread(path, url)
    (victim, *_) = wait_until(
        lambda: [worker for worker in workers(os.getpid()) if guard_of(worker)], what="a guarded worker"
    )
    victim.suspend()
    try:
        thread.join(200)
    finally:
        with contextlib.suppress(psutil.Error):
            victim.resume()
    assert not thread.is_alive()
    assert not victim.is_running()
    finished(url, expected)


@pytest.mark.usefixtures("in_process")
def test_memory_that_runs_out_makes_batches_smaller(
    write_config: Write, tmp_path: Path, calm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own out-of-memory error until batches are a quarter as large: the same bits; a cap ends it."""
    path, url = write_config(initialization=None), tmp_path / "hit.zarr"
    expected = calm(path)
    monkeypatch.setattr(worker, "execute", short_of_memory(enough=4))
    run(sweep_config.load(path), str(url))
    finished(url, expected)
    monkeypatch.setattr(worker, "execute", short_of_memory(enough=2**30))
    monkeypatch.setattr(scheduler, "SHORTAGES", 2)
    hopeless = run(sweep_config.load(path), str(tmp_path / "no.zarr"))
    assert hopeless.cell_counts()["failed"] == 24
    assert "out of memory, 2 of 2 times" in hopeless.failures(1)["0"]


def short_of_memory(enough: int, execute: Any = worker.execute) -> Any:
    """What runs a block, and finds no memory at its first record until it is split that many times."""

    def hungry(sweep: Any, block: Any) -> Any:
        import torch

        from widesweep.workers.training import block_training

        with pytest.MonkeyPatch.context() as patch:
            if block.state.split < enough:
                patch.setattr(block_training, "Record", lambda *_: torch.empty(2**60, dtype=torch.uint8))
            return execute(sweep, block)

    return hungry


@pytest.fixture
def nodes() -> Iterator[Any]:
    """Makes clusters of raylets of their own, on the machine's address, and takes them away."""
    from ray.cluster_utils import Cluster

    made: list[Any] = []
    found = (each for addresses in psutil.net_if_addrs().values() for each in addresses)
    ours = (each.address for each in found if each.family == socket.AF_INET)
    # a local sweep's cluster, as in this process, has loopback
    address = next(each for each in ours if not each.startswith("127."))

    def make() -> Any:
        head = {"num_cpus": 0, "include_dashboard": False, "node_ip_address": address}
        made.append(Cluster(initialize_head=True, head_node_args=head))
        made[-1].add_node = functools.partial(made[-1].add_node, node_ip_address=address)
        return made[-1]

    yield make
    for each in made:
        each.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_dies_and_one_that_joins_late(
    write_config: Write, tmp_path: Path, calm: Any, nodes: Any, gate: Gate
) -> None:
    """SIGKILL of the only working raylet; nothing runs until another node joins, which ends the sweep."""
    path, url = write_config(**gate.sections), tmp_path / "small.zarr"
    expected, ray_cluster = calm(path), nodes()
    first = ray_cluster.add_node(num_cpus=1)
    gate.close()
    with driver("run", str(path), "--address", ray_cluster.address) as process:
        gate.step_until(lambda: checkpointed(url), what="a flush")
        ray_cluster.remove_node(first, allow_graceful=False)
        gate.open()
        ray_cluster.add_node(num_cpus=2)
        _, told = process.communicate(timeout=400)
    assert process.returncode == 0, told
    assert "Traceback" not in told
    finished(url, expected)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_head_that_dies(write_config: Write, tmp_path: Path, calm: Any, nodes: Any, gate: Gate) -> None:
    """The head is killed: exit 75 with one message; the same command on a new head ends in the same bits."""
    path, url = write_config(**gate.sections), tmp_path / "small.zarr"
    expected, ray_cluster = calm(path), nodes()
    ray_cluster.add_node(num_cpus=1)
    gate.close()
    with driver("run", str(path), "--address", ray_cluster.address) as process:
        gate.step_until(lambda: checkpointed(url), what="a flush")
        for node in list(ray_cluster.worker_nodes):
            ray_cluster.remove_node(node, allow_graceful=False)
        ray_cluster.remove_node(ray_cluster.head_node, allow_graceful=False)
        _, told = process.communicate(timeout=200)
    assert process.returncode == 75, told
    assert "Run the same command again" in told
    assert "Traceback" not in told
    assert Store(str(url)).cell_counts()["failed"] == 0
    gate.open()
    again = nodes()
    again.add_node(num_cpus=2)
    with driver("run", str(path), "--address", again.address) as process:
        _, told = process.communicate(timeout=400)
    assert process.returncode == 0, told
    finished(url, expected)
