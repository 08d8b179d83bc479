"""The code that runs is the driver's, wherever one stands, and the store says which code that was."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import zarr
from nbclient import NotebookClient
from typer.testing import CliRunner

from tests.pipeline.conftest import measured_bytes
from widesweep import source
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import provenance
from widesweep.pipeline.store import status as statuses
from widesweep.workers.training import block_training

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]
ROOMS = ("theory", "workers", "analysis", "pipeline")
TINY = {
    "grid": {"width": [8], "depth": [1], "seed": 2, "learning_rate": [0.5]},
    "initialization": None,
}
RANDOM = {"grid": {"width": [8], "depth": [1], "seed": 1}, "training": None}  # compiles nothing
COMMAND = [str(Path(sys.executable).with_name("widesweep"))]
SCHEDULERS = ("local", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.timeout(900)]))
TAMPERED = {
    "workers/training/block_training.py": """
_true_run = run


def run(*arguments, **options):
    found = _true_run(*arguments, **options)
    return found.assign(loss=1000 * found["loss"])
""",
    "workers/random_networks/__init__.py": """
_true_sample = sample


def sample(*arguments):
    return _true_sample(*arguments).map(lambda sums: 1000 * sums if sums.dtype.kind == "f" else sums)
""",
}
BREAKS = """
import pathlib
from widesweep import source
source.digest()
pathlib.Path(source.FOLDER, "workers", "training", "block_training.py").open("a").write("\\n")
"""
# A worker process of its own, however small the sweep is.
CALL = """
from widesweep.pipeline.plan import scheduling
scheduling.processes = lambda plan: 1
from pathlib import Path
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
{between}
run(sweep_config.load(Path({config!r})), {store!r}, scheduler={scheduler!r})
"""


def copy_package(folder: Path) -> Path:
    """A checkout beside this one; what it measures is a thousand times too large."""
    for name in ("widesweep", *ROOMS):
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name, text in TAMPERED.items():
        with (folder / name).open("a") as file:
            file.write(text)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_package(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A researcher's own folder, whose packages have the names of our rooms."""
    folder = tmp_path_factory.mktemp("project")
    for name in ROOMS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('the project of a user')\n")
    return folder


@pytest.fixture
def config(write_config: Write, request: pytest.FixtureRequest) -> Path:
    """Training; on processes of this machine random networks, which need no machine code of their own."""
    parameters = getattr(request.node, "callspec", None)
    return write_config(**(RANDOM if parameters and parameters.params.get("scheduler") == "local" else TINY))


@pytest.fixture
def expected(config: Path, tmp_path: Path, in_process: None) -> dict[str, bytes]:
    """What this checkout measures, in this process."""
    run(sweep_config.load(config), str(tmp_path / "expected.zarr"))
    return measured_bytes(tmp_path / "expected.zarr")


def call(config: Path, store: Path, scheduler: str, between: str = "") -> list[str]:
    code = CALL.format(config=str(config), store=str(store), scheduler=scheduler, between=between)
    return [sys.executable, "-c", code]


def root_of(store: Path) -> dict[str, Any]:
    return dict(zarr.open_group(store, mode="r").attrs)


def execute(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process as a user starts it, in a folder of his."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env={**inherited, **environment}, capture_output=True, text=True, timeout=800
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_command_runs_the_installed_code_inside_another_checkout(
    checkout: Path, config: Path, expected: dict[str, bytes], tmp_path: Path, scheduler: str
) -> None:
    """Every bit of an undisturbed sweep, though the folder's own code has another loss."""
    words = ["run", str(config), "--store", str(tmp_path / "a.zarr"), "--scheduler", scheduler]
    done = execute([*COMMAND, *words], checkout)
    assert done.returncode == 0, done.stderr
    assert measured_bytes(tmp_path / "a.zarr") == expected
    assert root_of(tmp_path / "a.zarr")["code_digest"] == source.digest()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_workers_import_what_their_driver_imports(
    checkout: Path, config: Path, expected: dict[str, bytes], tmp_path: Path, scheduler: str
) -> None:
    """`python -c` imports from the folder that it stands in: so do its workers, as the store's digest says.

    The control of the tests around it: the other checkout's code is noticed where it does run.
    """
    done = execute(call(config, tmp_path / "a.zarr", scheduler), checkout)
    assert done.returncode == 0, done.stderr
    assert measured_bytes(tmp_path / "a.zarr").keys() == expected.keys()
    assert measured_bytes(tmp_path / "a.zarr") != expected
    if scheduler == "ray":
        loss = [
            zarr.open_array(tmp_path / f"{name}.zarr" / "training" / "loss") for name in ("a", "expected")
        ]
        assert (loss[0][...] == 1000 * loss[1][...]).all()
    assert root_of(tmp_path / "a.zarr")["code_digest"] != source.digest()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheduler", ["local", "ray"])
@pytest.mark.parametrize("on_path", [False, True], ids=["folder", "PYTHONPATH"])
def test_a_project_may_use_the_names_of_our_rooms(
    project: Path, config: Path, expected: dict[str, bytes], tmp_path: Path, scheduler: str, on_path: bool
) -> None:
    """From a folder with its own `analysis`, `pipeline`, `theory` and `workers`, or with it on PYTHONPATH."""
    environment = {"PYTHONPATH": str(project)} if on_path else {}
    folder = tmp_path if on_path else project
    done = execute(call(config, tmp_path / "a.zarr", scheduler), folder, **environment)
    assert done.returncode == 0, done.stderr
    assert measured_bytes(tmp_path / "a.zarr") == expected


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_worker_with_another_source_runs_no_block(config: Path, tmp_path: Path, scheduler: str) -> None:
    """A module that changes under a running driver: the run ends with one message, the cells stay pending."""
    folder = copy_package(tmp_path / "other")
    done = execute(call(config, tmp_path / "a.zarr", scheduler, BREAKS), folder)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-2:]
    assert re.search(
        r"SourceError: .*a\.zarr: a worker on .* has widesweep .*, source \w{8}, in ", message[0]
    )
    assert f"source {root_of(tmp_path / 'a.zarr')['code_digest'][:8]}. What was finished" in message[0]
    assert "the same command again" in message[1]
    assert set(statuses.status(str(tmp_path / "a.zarr"))["cells"].items()) >= {("done", 0), ("failed", 0)}
    if scheduler == "ray":  # two processes more, of which a quick test has started enough
        again = execute(call(config, tmp_path / "a.zarr", scheduler), folder)
        assert again.returncode == 0, again.stderr
        assert statuses.status(str(tmp_path / "a.zarr"))["cells"]["pending"] == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheduler", ["local", "ray"])
@pytest.mark.filterwarnings("ignore")  # of jupyter's own event loop and sockets
def test_a_notebook_in_a_project_of_the_same_names_runs_our_code(
    project: Path, config: Path, expected: dict[str, bytes], tmp_path: Path, scheduler: str
) -> None:
    """A notebook's folder is first on its kernel's path."""
    cell = nbformat.v4.new_code_cell(call(config, tmp_path / "a.zarr", scheduler)[-1])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=800, resources={"metadata": {"path": str(project)}}).execute()
    assert measured_bytes(tmp_path / "a.zarr") == expected


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built elsewhere."""
    folder = tmp_path_factory.mktemp("wheel")
    copied = folder / "source"
    for name in ("widesweep", *ROOMS):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copied / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copied)
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-w", str(folder)]
    done = execute([sys.executable, "-m", "pip", "wheel", *options, str(copied)], folder)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and with the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    execute([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    libraries = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries))
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--ignore-installed"]
    python = str(folder / "bin" / "python")
    done = execute([python, "-m", "pip", "install", *options, str(wheel)], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_wheel_holds_our_package_alone_and_has_its_digest(wheel: Path, environment: Path) -> None:
    """One package of modules in it, and the same digest as the checkout that it was built from."""
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"widesweep"}
    done = execute([str(environment / "bin" / "widesweep"), "--version"], environment)
    assert done.stdout.strip() == f"widesweep {source.version()}, source {source.digest()[:8]}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheduler", ["local", "ray"])
def test_a_wheel_runs_its_own_code_inside_another_checkout(
    environment: Path,
    checkout: Path,
    config: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    scheduler: str,
) -> None:
    """Every bit of this checkout's sweep."""
    words = ["run", str(config), "--store", str(tmp_path / "a.zarr"), "--scheduler", scheduler]
    done = execute([str(environment / "bin" / "widesweep"), *words], checkout)
    assert done.returncode == 0, done.stderr
    assert measured_bytes(tmp_path / "a.zarr") == expected
    assert root_of(tmp_path / "a.zarr")["code_digest"] == source.digest()


def test_the_version_names_source_and_commit() -> None:
    """So that a bug report says which code it is about."""
    printed = CliRunner().invoke(app, ["--version"]).stdout
    assert re.fullmatch(
        rf"widesweep \S+, source {source.digest()[:8]}(, commit \w{{40}}(-dirty)?)?\n", printed
    )


def test_a_store_says_which_code_made_it(config: Path, tmp_path: Path, in_process: None) -> None:
    """Version, digest and commit, of the root's making and of the last run."""
    run(sweep_config.load(config), str(tmp_path / "a.zarr"))
    for group in (tmp_path / "a.zarr", tmp_path / "a.zarr" / "run"):
        found = root_of(group)
        assert found["code_digest"] == source.digest()
        assert (found["code_version"], found["code_commit"]) == (source.version(), source.commit())
        assert "torch" in json.loads(found["library_versions"])


@pytest.fixture
def failed(
    config: Path, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """A store whose cells have all failed, of a cause that is gone by now; the same command again."""
    store = str(tmp_path / "small.zarr")
    with monkeypatch.context() as patched:
        patched.setattr(block_training, "run", lambda *_: 1 / 0)
        run(sweep_config.load(config), store)
    return lambda: CliRunner().invoke(app, ["run", str(config)])


def test_a_resume_that_finds_failed_cells_alone_names_the_option(failed: Callable[[], Any]) -> None:
    """Nothing is computed; the message says what would be."""
    found = failed()
    assert found.exit_code == 1
    assert "2 failed" in found.stdout
    assert "the same command with --retry-failed computes them again" in found.stderr


@pytest.mark.parametrize("changed", ["code_digest", "library_versions"])
def test_other_code_or_libraries_retry_what_failed_by_themselves(
    failed: Callable[[], Any], tmp_path: Path, changed: str
) -> None:
    """The message says what has changed; the second time nothing has."""
    group = zarr.open_group(tmp_path / "small.zarr" / "run", mode="r+")
    libraries = json.loads(group.attrs["library_versions"]) | {"torch": "2.0.0"}
    old = {"code_digest": "0a1b2c3d4e", "library_versions": json.dumps(libraries)}
    group.attrs[changed] = old[changed]
    found = failed()
    assert found.exit_code == 0, found.stderr
    assert "2 done" in found.stdout
    text = "source 0a1b2c3d is now" if changed == "code_digest" else "torch 2.0.0 is now"
    assert f"the block with failed cells is computed again: {text}" in found.stderr
    assert not provenance.changes(dict(zarr.open_group(tmp_path / "small.zarr" / "run", mode="r").attrs))


def test_cells_that_fail_again_under_changed_code_are_not_retried_twice(
    failed: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt for each code: the cause may be the config."""
    attempts: list[int] = []
    monkeypatch.setattr(block_training, "run", lambda *_: attempts.append(1) or 1 / 0)
    zarr.open_group(tmp_path / "small.zarr" / "run", mode="r+").attrs["code_digest"] = "0a1b2c3d4e"
    assert [failed().exit_code, failed().exit_code] == [1, 1]
    assert len(attempts) == 1
