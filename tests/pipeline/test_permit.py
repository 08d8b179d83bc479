"""Writers whose permit ends: however long they sleep between looking and putting, nothing is put."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import zarr

from tests.pipeline.conftest import wait_until
from widesweep.pipeline.errors import PermitLostError
from widesweep.pipeline.store import claim, objects
from widesweep.pipeline.store.permit import CLAIMS, WRITERS, Permit

KEY = "training/loss/c/0"


def taken_over(url: str) -> claim.Claim:
    """The claim of a second driver, which takes the holder of the first for dead."""
    holder = claim.Holder("elsewhere", 1, 0.0, 0.0)
    (name,) = objects.names(url, CLAIMS)
    objects.put(url, {f"{CLAIMS}/{name}": claim.text(holder)})
    return claim.take(url)


class Sleeper:
    """Holds the first rename of a thread until it is woken: a process stopped right before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sleeps, self.woken, self._real = threading.Event(), threading.Event(), os.replace
        self._main = threading.get_ident()
        monkeypatch.setattr(os, "replace", self._held)

    def _held(self, source: Path, target: Path) -> None:
        if threading.get_ident() != self._main:
            self.sleeps.set()
            assert self.woken.wait(60)
        self._real(source, target)


WRITES: dict[str, Callable[[Permit], None]] = {
    "put": lambda permit: permit.put({KEY: b"old"}),
    "put into a folder that is not there": lambda permit: permit.put({"training/loss/c/7/7": b"old"}),
    "delete": lambda permit: permit.delete([KEY]),
    "zarr": lambda permit: zarr.open_array(permit.zarr_store(), path="a", mode="r+").__setitem__(0, 1.0),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_writer_that_slept_before_its_rename_puts_nothing(
    write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything it looked at was right when it fell asleep; the later owner's bytes stay, and no others."""
    url = str(tmp_path)
    zarr.create_array(tmp_path / "a", shape=(1,), dtype="f8")
    first = claim.take(url)
    sleeper = Sleeper(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(WRITES[write], first.permit)
        assert sleeper.sleeps.wait(60)
        second = taken_over(url)
        second.permit.put({KEY: b"new"})
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        sleeper.woken.set()
        with pytest.raises(PermitLostError):
            writing.result(60)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert objects.get(url, KEY) == b"new"


def test_an_attempt_that_was_given_up_writes_no_more_though_its_run_goes_on(tmp_path: Path) -> None:
    """A worker that is cut off and comes back, after another one has taken its block."""
    run = claim.take(str(tmp_path)).permit
    cut_off, later = run.of_attempt(), run.of_attempt()
    cut_off.put({KEY: b"old"})
    cut_off.end()
    later.put({KEY: b"new"})
    for write in WRITES.values():
        if write is not WRITES["zarr"]:
            with pytest.raises(PermitLostError):
                write(cut_off)
    assert objects.get(str(tmp_path), KEY) == b"new"
    run.put({KEY: b"the run's own"})


def test_a_permit_that_has_ended_gives_no_attempts(tmp_path: Path) -> None:
    """A driver that wakes up starts no block."""
    first = claim.take(str(tmp_path)).permit
    second = taken_over(str(tmp_path)).permit
    with pytest.raises(PermitLostError):
        first.of_attempt()
    assert second.of_attempt().folder.is_dir()


def test_a_claim_that_was_taken_away_is_not_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heartbeat of a driver that wakes up finds that it has lost, and leaves nothing."""
    monkeypatch.setattr(claim, "BEAT_S", 0.01)
    url = str(tmp_path)
    with claim.take(url) as first:
        time_of = objects.get(url, f"{CLAIMS}/000001.json")
        wait_until(lambda: objects.get(url, f"{CLAIMS}/000001.json") != time_of, what="a heartbeat")
        objects.delete(url, [f"{CLAIMS}/000001.json"])
        (tmp_path / WRITERS / first.permit.folder.name).rename(tmp_path / "gone")
        wait_until(lambda: first.lost, what="the loss")
        objects.delete(url, [f"{CLAIMS}/000001.json"])
    assert objects.names(url, CLAIMS) == []


def test_a_takeover_leaves_a_later_claims_permit(tmp_path: Path) -> None:
    """A driver that slept after its claim ends what is before it, and nothing that came after."""
    url = str(tmp_path)
    first = claim.take(url).permit
    third = replace(first, claim=first.claim + 2, token="later")
    third.grant()
    second = taken_over(url).permit
    assert sorted(objects.names(url, WRITERS)) == [second.folder.name, third.folder.name]
    third.put({KEY: b"new"})


def test_a_run_that_ends_leaves_no_writers_folder(tmp_path: Path) -> None:
    """Nor a file that was staged in it by a worker that was killed."""
    with claim.take(str(tmp_path)) as mine:
        attempt = mine.permit.of_attempt()
        (attempt.folder / "half").write_bytes(b"x")
    assert objects.names(str(tmp_path), WRITERS) == []
    assert claim.take(str(tmp_path)).permit.claim == mine.permit.claim + 1


def test_a_lost_permit_passes_between_processes() -> None:
    """A worker's error arrives as what it is, with its exit code."""
    error = pickle.loads(pickle.dumps(PermitLostError("a.zarr", "why")))
    assert (type(error), error.store, error.reason, error.exit_code) == (PermitLostError, "a.zarr", "why", 75)
