"""Groups of an analysis take the place of older ones without a moment in which neither is there."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from widesweep.analysis.storing import STAGES, put_groups

GROUPS = ("laws", "fits")


def put(store: Path, value: float) -> None:
    law = xr.Dataset({"slope": ("law", np.full(3, value))}, coords={"law": np.arange(3)})
    groups = dict.fromkeys(GROUPS, law)
    put_groups(store, groups)


def found(store: Path) -> list[float]:
    return [float(xr.open_zarr(store / name, consolidated=False)["slope"][0]) for name in GROUPS]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with older laws."""
    zarr.create_group(tmp_path / "a.zarr")
    put(tmp_path / "a.zarr", 1.0)
    return tmp_path / "a.zarr"


def test_a_kill_after_any_rename_finds_both_groups(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each rename of a file or folder both groups are there, old or new."""
    there, real = list[bool](), Path.rename

    def watched(self: Path, target: Path) -> Path:
        result = real(self, target)
        there.append(all((store / name / "zarr.json").exists() for name in GROUPS))
        return result

    monkeypatch.setattr(Path, "rename", watched)
    put(store, 2.0)
    assert all(there)
    assert found(store) == [2.0, 2.0]
    assert not (store / STAGES).exists()


def test_a_system_without_exchange_renames_twice(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same groups, and no stage is left."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: object())
    put(store, 2.0)
    assert found(store) == [2.0, 2.0]
    assert not (store / STAGES).exists()


def test_groups_that_cannot_be_staged_leave_the_old_ones(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while the new groups are written: the older laws are whole."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        put(store, 2.0)
    assert found(store) == [1.0, 1.0]
    assert not (store / STAGES).exists()
