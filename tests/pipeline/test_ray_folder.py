"""Where a local cluster keeps its sockets: a folder of the user's own, which a run takes away again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import ROOT, start
from widesweep.pipeline.execution import ray_environment

HOLDS = """
import sys, tempfile
from widesweep.pipeline.execution import ray_environment
tempfile.tempdir, ray_environment.LONGEST_PLACE = sys.argv[1], 500
with ray_environment.session_folder(local=True) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray_environment, "LONGEST_PLACE", 500)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    return tmp_path


def test_nobody_else_can_enter_the_folder_and_it_goes_with_its_run(place: Path) -> None:
    """Mode 0700 from the first moment; what a killed run has left goes, what a living one uses stays."""
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDS, str(place)], cwd=ROOT, stdin=-1, stdout=-1, text=True)
        for _ in range(2)
    ]
    living, killed = (Path(each.stdout.readline().strip()) for each in holders if each.stdout)
    holders[1].kill()
    holders[1].communicate()
    assert killed.is_dir()
    with ray_environment.session_folder(local=True) as name:
        assert name is not None
        folder = Path(name)
        assert [oct(each.stat().st_mode)[-3:] for each in (folder, folder.parent)] == ["700", "700"]
        assert sorted(folder.parent.iterdir()) == sorted([folder, living])
    holders[0].communicate("")
    assert list(folder.parent.iterdir()) == []


def test_a_folder_of_anothers_making_is_not_used(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A link that somebody laid there first is not followed: the next place is taken."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (place / f"ws-{os.getuid()}").symlink_to(elsewhere)
    with ray_environment.session_folder(local=True) as name:
        assert name is not None
        assert not Path(name).is_relative_to(place)
    assert list(elsewhere.iterdir()) == []


def test_the_users_own_variable_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """RAY_TMPDIR, and a cluster elsewhere, which has its own."""
    with ray_environment.session_folder(local=False) as name:
        assert name is None
    monkeypatch.setenv("RAY_TMPDIR", "/elsewhere")
    with ray_environment.session_folder(local=True) as name:
        assert name is None


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_one_message_and_no_store(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder cannot be made: exit 2, nothing written, whatever Ray itself raises."""
    monkeypatch.setenv("RAY_TMPDIR", "/proc/nowhere")
    process = start("run", str(write_config()), "--scheduler", "ray")
    said, told = process.communicate(timeout=200)
    assert process.returncode == 2, told
    assert said == ""
    assert "Ray did not start on this machine" in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 3
    assert not (tmp_path / "small.zarr").exists()
