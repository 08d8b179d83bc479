"""One driver on a store: of many that try one wins, a living one is respected, a dead one is not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import ROOT, start, wait_until
from tests.pipeline.gate import Gate
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.store import claim, objects, status
from widesweep.pipeline.store.permit import CLAIMS, Permit

Write = Callable[..., Path]
RACE = """
import sys
from widesweep.pipeline.store import claim
from widesweep.pipeline.errors import InputError
try:
    claim.take(sys.argv[1])
    print("won", flush=True)
except InputError:
    print("refused", flush=True)
sys.stdin.read()
"""
HOLDER = """
import sys
from widesweep.pipeline.store import claim
with claim.take(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def claims(url: str) -> list[dict[str, Any]]:
    """Every claim on a store."""
    names = objects.names(url, CLAIMS)
    return [json.loads(objects.get(url, f"{CLAIMS}/{name}") or b"") for name in names]


def put(url: str, number: int, holder: dict[str, Any]) -> None:
    """A claim, whoever made it."""
    objects.put(url, {f"{CLAIMS}/{number:06d}.json": json.dumps(holder).encode()})


@pytest.mark.parametrize("racing", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_of_many_drivers_that_start_at_once_one_wins(racing: int, tmp_path: Path) -> None:
    """Processes race for a store whose driver was killed: one claim, and a refusal of each other."""
    url = str(tmp_path / "a.zarr")
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    holder = claim.Holder(socket.gethostname(), dead.pid, time.time(), time.time())
    put(url, 1, vars(holder))
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(racing)
    ]
    said = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
    for racer in racers:
        racer.communicate("")
    assert sorted(said) == ["refused"] * (racing - 1) + ["won"]


def test_a_claim_outlives_its_process_by_thirty_seconds_elsewhere_and_not_at_all_here(tmp_path: Path) -> None:
    """Elsewhere the heartbeat decides, here the process; a number used again is another process."""
    url = str(tmp_path / "a.zarr")
    with claim.take(str(tmp_path / "mine.zarr")):
        (mine,) = claims(str(tmp_path / "mine.zarr"))
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "other.zarr")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    (me,) = claims(str(tmp_path / "other.zarr"))
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"pid": 2**22 + 1}, False),
        ({"born": me["born"] - 100}, False),
        ({"heartbeat": 0.0}, True),
        (mine, False),  # this process' own, which a full disk kept from being given back
        ({"released": True}, False),
        ({"host": "elsewhere", "pid": 2**22 + 1}, True),
        ({"host": "elsewhere", "heartbeat": time.time() - claim.STALE_S - 1}, False),
    ]
    for change, lives in cases:
        put(url, 7, {**me, **change})
        assert claim.is_held(url) == lives
        if lives:
            with pytest.raises(InputError, match=str({**me, **change}["pid"])):
                claim.take(url)
        else:
            claim.refuse_second(url)
            with claim.take(url):
                pass
        objects.delete(url, [f"{CLAIMS}/{name}" for name in objects.names(url, CLAIMS)])
    other.communicate("")


def test_a_driver_that_was_taken_for_dead_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that was cut off and comes back finds its permit ended and stops."""
    monkeypatch.setattr(claim, "BEAT_S", 0.02)
    url = str(tmp_path / "a.zarr")
    with claim.take(url) as mine:
        assert not mine.lost
        Permit(url, 2, "another").end_earlier()
        wait_until(lambda: mine.lost, what="the loss")


@pytest.mark.slow
def test_a_second_driver_is_refused_while_the_first_lives_and_takes_over_when_it_is_dead(
    write_config: Write, tmp_path: Path, gate: Gate
) -> None:
    """The refusal names host and process and says what to do; after kill -9 the same command finishes."""
    path, url = write_config(**gate.sections), tmp_path / "small.zarr"
    gate.close()
    first = start("run", str(path))
    wait_until(lambda: gate.is_reached or first.poll() is not None, what="the first cell")
    second = start("run", str(path))
    _, told = second.communicate()
    assert second.returncode == 2
    assert f"a run on {socket.gethostname()} (process {first.pid}) is writing to it" in told
    assert "stop it first" in told
    assert len(told.strip().splitlines()) == 1
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    gate.open()
    third = start("run", str(path))
    third.communicate()
    assert third.returncode == 0
    assert status.status(str(url))["cells"]["pending"] == 0
