"""How a command ends: one message where something is wrong, whatever the terminal, rights or libraries."""

from __future__ import annotations

import contextlib
import errno
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner

from tests.pipeline.conftest import ROOT
from widesweep.pipeline import cli
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution import cluster_address, ray_environment
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import inventory

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


def messages(said: str) -> list[str]:
    """Lines of standard error but for those that say what lasts, which a slow machine alone has."""
    return [line for line in said.splitlines() if not line.endswith(" …")]


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


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow)])
def test_a_terminal_without_our_letters_gets_others(encoding: str, write_config: Write) -> None:
    """λ and κ are spelled out where they cannot be printed, and ² stays where it can."""
    done = command("theory", str(write_config(initialization=None)), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "lambda_min(Theta)" in done.stdout
    assert "kappa4/K" in done.stdout


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EROFS, 0),
        (errno.ENOSPC, 1),
        pytest.param(errno.EACCES, 0, marks=pytest.mark.slow),
        pytest.param(errno.EIO, 1, marks=pytest.mark.slow),
    ],
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
    assert len(messages(done.stderr)) == 1


@pytest.mark.parametrize("command", ["analyze", pytest.param("report", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", ["zero residuals", "a rate of 1e308"])
def test_odd_numbers_in_a_store_are_findings_and_no_warnings(
    command: str, case: str, finished: Path, tmp_path: Path
) -> None:
    """Standard error stays empty where numpy would warn; a note says why no rate was fitted."""
    url = tmp_path / "odd.zarr"
    shutil.copytree(finished, url)
    training = zarr.open_group(url, path="training", mode="r+", use_consolidated=False)
    if case == "zero residuals":
        for name in ("residual_norm", "loss"):
            training[name][...] = 0.0
    else:
        training["learning_rate_absolute"][...] = 1e308
    training["status"][...] = training["status"][...]  # without seals, as another program writes
    (url / inventory.PLACE).unlink()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        done = CliRunner().invoke(app, [command, str(url)])
    assert done.exit_code == 0, done.output
    assert not messages(done.stderr)
    assert not [w for w in said if issubclass(w.category, RuntimeWarning)]
    if command == "analyze":
        assert "\nconvergence_rate: " in done.stdout


@pytest.mark.parametrize(
    ("library", "arguments"),
    [
        ("ray", ["run", "CONFIG", "--scheduler", "ray"]),
        pytest.param(
            "distributed",
            ["analyze", "STORE", "--scheduler", "tcp://127.0.0.1:9"],
            marks=pytest.mark.slow,
        ),
        pytest.param("matplotlib", ["report", "STORE"], marks=pytest.mark.slow),
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
    assert len(messages(done.stderr)) == 1
    assert done.stderr.startswith(f"{library}: it is not installed")
    assert "`pip install " in done.stderr
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://127.0.0.1:8265", "that of a dashboard"),
        ("127.0.0.1:1", "refused"),
        ("nowhere", "not HOST:PORT"),
        ("ray://:", "not HOST:PORT"),
    ],
)
def test_an_address_from_the_environment_is_told_by_its_variable(
    address: str, told: str, write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RAY_ADDRESS, and not an option that nobody gave; nothing is written."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = CliRunner().invoke(app, ["run", str(path := write_config())])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"RAY_ADDRESS={address}: ")
    assert told in done.stderr
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("address", ["local", ""])
def test_an_address_may_say_this_machine(
    address: str, write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`local` is Ray's own word for it, and a small sweep then needs no Ray at all."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = CliRunner().invoke(app, ["run", str(write_config(initialization=None))])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "small.zarr").exists()


@contextlib.contextmanager
def web_server(status: int) -> Iterator[str]:
    """HOST:PORT of a web server that answers every request with this status."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_listens_and_is_no_head_is_refused(write_config: Write, tmp_path: Path) -> None:
    """A web server at the port: Ray itself would ask it for minutes."""
    path = write_config()
    with web_server(200) as address:
        done = CliRunner().invoke(app, ["run", str(path), "--address", address])
    assert done.exit_code == 2, done.output
    assert "no Ray head" in done.stderr
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_job_for_a_dashboard_that_is_not_there_is_one_line(write_config: Write) -> None:
    """Nothing at the port, another server there, or no http address; and never Ray's own stack."""
    submit = ["submit", "ray", str(write_config()), "--store", "s3://bucket/a.zarr", "--address"]
    with web_server(404) as other:
        for address in ("http://127.0.0.1:1", f"http://{other}", "127.0.0.1:8265"):
            done = CliRunner().invoke(app, [*submit, address])
            assert done.exit_code == 2, done.output
            assert "no Ray dashboard answers" in done.stderr
            assert len(done.stderr.splitlines()) == 1
    with web_server(401) as closed:
        done = CliRunner().invoke(app, [*submit, f"http://{closed}"])
        assert done.exit_code == 2, done.output
        assert "does not let this user in (HTTP Error 401" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_refused_token_is_no_absent_cluster() -> None:
    """A head that answers and does not let in: the message speaks of the token, not of the address."""
    told = str(cluster_address.refusal("10.0.0.1:6379", ConnectionError("Failed to connect\nlater")))
    assert "token" in told
    assert "no Ray cluster answers" not in told


@pytest.mark.parametrize("content", [None, b"", b" \n"])
@pytest.mark.parametrize("address", ["10.0.0.1:6379", None])
def test_a_token_file_without_a_token_is_told(
    content: bytes | None, address: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing where a cluster is named, or empty: Ray would abort the process with a stack of C++."""
    path = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    if content is not None:
        path.write_bytes(content)
    if content is None and address is None:
        ray_environment.prepare(local=True)  # which makes one
        assert path.read_text()
        return
    with pytest.raises(InputError, match=r"RAY_AUTH_TOKEN_PATH=.*RAY_AUTH_MODE=token wants"):
        ray_environment.prepare(local=address is None)


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["plan", "none.yaml"], 2)])
def test_a_command_that_ends_at_once_has_said_everything(arguments: list[str], code: int) -> None:
    """Its code and its whole output arrive, and what it registered for its end has run."""
    before = (
        "import atexit, widesweep.pipeline.cli as cli\n"
        "version = cli.print_anywhere\n"
        "def told(): version(); atexit.register(print, 'the end')\n"
        "cli.print_anywhere = told"
    )
    done = command(*arguments, before=before)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "the end"
    assert len(done.stdout.splitlines() + done.stderr.splitlines()) == 2
