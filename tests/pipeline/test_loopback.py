"""A sweep on one machine: no process of it can be reached from another, unless that is asked for."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.pipeline.conftest import start, wait_until
from tests.pipeline.gate import Gate
from widesweep.pipeline.execution.ray_environment import CLUSTERS

Write = Callable[..., Path]
LISTENERS = 6  # of gcs_server, raylet, agents and driver, at least


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


def enough(seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What listens, once gcs_server, raylet, agents and driver do."""
    return seen if len(seen) >= LISTENERS else set()


def is_loopback(address: str) -> bool:
    """IPv4 within IPv6 counts as what it is."""
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


@pytest.mark.slow
@pytest.mark.parametrize("requested", [None, "1"])
def test_only_rays_own_variable_opens_other_addresses(
    requested: str | None, write_config: Write, tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of a driver of its own, and the control: with the variable set, others can reach it."""
    monkeypatch.delenv(CLUSTERS, raising=False)
    if requested is not None:
        monkeypatch.setenv(CLUSTERS, requested)
    gate.close()  # the sweep has begun, and does not end before all has been seen
    path = write_config(**gate.sections)
    driver = start("run", str(path), "--scheduler", "ray", "--store", str(tmp_path / "a.zarr"))
    try:
        wait_until(lambda: gate.is_reached or driver.poll() is not None, what="the first cell")
        seen = wait_until(lambda: enough(listening(driver.pid)), what="Ray's listeners")
    finally:
        driver.terminate()
        gate.open()
        driver.communicate()
    assert all(is_loopback(address) for _, address in seen) is (requested is None), seen
