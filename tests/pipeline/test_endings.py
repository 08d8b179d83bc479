"""How a command ends: one message where something is wrong, whatever the terminal, rights or libraries."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from typer.testing import CliRunner

from tests.pipeline.conftest import ROOT
from widesweep.pipeline import cli
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished store, never changed."""
    import yaml

    from tests.pipeline.conftest import SMALL

    folder = tmp_path_factory.mktemp("endings")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    run(sweep_config.load(folder / "small.yaml"), str(folder / "small.zarr"), scheduler="local")
    return folder / "small.zarr"


def command(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, after a statement."""
    code = f"import sys; {before}\nfrom widesweep.pipeline.cli import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_an_error_that_nobody_foresaw_is_one_line_and_a_log(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1; the line asks for a report and names a file with the traceback, which the screen lacks."""

    def fail(*_: Any) -> None:
        raise RuntimeError("a first line\x1b[31m\nand a second")

    monkeypatch.setattr(sweep_config, "load", fail)
    monkeypatch.setattr(sys, "argv", ["widesweep", "plan", str(write_config())])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert len(told.splitlines()) == 1
    assert "RuntimeError: a first line" in told
    assert "report" in told
    assert "\x1b" not in told
    (log,) = tmp_path.glob("widesweep-*.log")
    assert str(log) in told
    assert "and a second" in log.read_text()
    assert "in fail" in log.read_text()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_our_letters_gets_others(encoding: str, write_config: Write) -> None:
    """λ and κ are spelled out where they cannot be printed, and ² stays where it can."""
    done = command("theory", str(write_config(initialization=None)), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "lambda_min(Theta)" in done.stdout
    assert "kappa4/K" in done.stdout


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EROFS, 0), (errno.EACCES, 0), (errno.ENOSPC, 1), (errno.EIO, 1)]
)
def test_a_store_that_cannot_be_written_is_analysed_all_the_same(
    number: int, code: int, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laws are printed, then one line says that they were not stored; 1 only where a disk is at fault."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(xr.Dataset, "to_zarr", refuse)
    done = CliRunner().invoke(app, ["analyze", str(finished)])
    assert done.exit_code == code, done.output
    assert "weight_drift" in done.stdout
    assert "the laws were not stored" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("library", "arguments"),
    [
        ("ray", ["run", "CONFIG", "--scheduler", "ray"]),
        ("distributed", ["analyze", "STORE", "--scheduler", "tcp://127.0.0.1:9"]),
        ("matplotlib", ["report", "STORE"]),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    library: str, arguments: list[str], write_config: Write, finished: Path, tmp_path: Path
) -> None:
    """Exit 2, one line with what brings it, and nothing written."""
    path = write_config()
    places = {"CONFIG": str(path), "STORE": str(finished)}
    done = command(*(places.get(word, word) for word in arguments), before=f"sys.modules[{library!r}] = None")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"pip install {library}" in done.stderr
    assert sorted(tmp_path.iterdir()) == [path]
