"""A sweep on one machine: no process of it can be reached from another, unless that is asked for."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.pipeline.conftest import start
from widesweep.pipeline.execution.ray_environment import CLUSTERS

Write = Callable[..., Path]
LISTENERS = 6  # of gcs_server, raylet, agents and driver, at least
WAIT_S = 90.0


def listening(pid: int) -> set[tuple[str, str]]:
    """(process name, address) of all that a process and its children listen on, over TCP."""
    found = set()
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        try:
            connections = process.net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        found |= {(process.name(), c.laddr.ip) for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def is_loopback(address: str) -> bool:
    """IPv4 within IPv6 counts as what it is."""
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


@pytest.mark.parametrize("requested", [None, pytest.param("1", marks=pytest.mark.slow)])
def test_a_local_sweep_listens_on_the_loopback_address_alone(
    requested: str | None, write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every socket of the driver, of Ray and of the workers; with Ray's own variable others too (control)."""
    monkeypatch.delenv(CLUSTERS, raising=False)
    if requested is not None:
        monkeypatch.setenv(CLUSTERS, requested)
    path = write_config(grid={"seed": 400, "width": [128], "depth": [3]}, training={"steps": 4000})
    driver = start("run", str(path), "--scheduler", "ray", "--store", str(tmp_path / "a.zarr"))
    try:
        seen: set[tuple[str, str]] = set()
        deadline = time.monotonic() + WAIT_S
        while len(seen) < LISTENERS and time.monotonic() < deadline and driver.poll() is None:
            time.sleep(0.5)
            seen |= listening(driver.pid)
    finally:
        driver.terminate()
        driver.communicate(timeout=60)
    assert len(seen) >= LISTENERS, seen
    assert all(is_loopback(address) for _, address in seen) is (requested is None), seen
