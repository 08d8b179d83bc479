"""What a store says of itself is checked like a config, before anything is allocated or printed."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL, compute_here
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.launch.slurm import batch_script
from widesweep.pipeline.launch.submission import Job, Resources
from widesweep.pipeline.store import frame_size

Change = Callable[[Path], None]
GRID = {"width": [4, 6], "depth": [1], "seed": 2, "learning_rate": [0.5]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of four cells and two random networks."""
    folder = tmp_path_factory.mktemp("finished")
    content = {**SMALL, "grid": GRID, "training": {"steps": 4, "records": 3}, "store": str(folder / "a.zarr")}
    (folder / "a.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        sweep = sweep_config.load(folder / "a.yaml")
        run(sweep, sweep.config.store)
    return folder / "a.zarr"


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy to be altered."""
    return Path(shutil.copytree(finished, tmp_path / "a.zarr"))


def _config(path: str, value: Any) -> Change:
    """Alters a value of the stored config."""

    def change(store: Path) -> None:
        metadata = json.loads((store / "zarr.json").read_text())
        config = json.loads(metadata["attributes"]["config"])
        *sections, key = path.split(".")
        inside = config
        for section in sections:
            inside = inside[section]
        inside[key] = value
        metadata["attributes"]["config"] = json.dumps(config)
        (store / "zarr.json").write_text(json.dumps(metadata))

    return change


def _nothing_measured(store: Path) -> None:
    _config("training", None)(store)
    _config("initialization", None)(store)


def _no_config(value: Any) -> Change:
    def change(store: Path) -> None:
        metadata = json.loads((store / "zarr.json").read_text())
        metadata["attributes"]["config"] = value
        (store / "zarr.json").write_text(json.dumps(metadata))

    return change


def _shape(array: str, axis: int, length: int) -> Change:
    """Declares another length."""

    def change(store: Path) -> None:
        file = store / array / "zarr.json"
        metadata = json.loads(file.read_text())
        metadata["shape"][axis] = length
        file.write_text(json.dumps(metadata))

    return change


@pytest.mark.parametrize("command", ["status", "analyze", "refine"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_config("grid.seed", 10**9), "2,000,000,000 cells; a sweep has at most"),
        (_config("grid.seed", list(range(5000))), "its config has a grid of [2, 1, 5000, 1]"),
        (_config("grid.width", list(range(1, 5001))), "its config has a grid of [5000, 1, 2, 1]"),
        (_config("grid.width", ["eight", 12]), "the text 'eight' is not a width"),
        (_config("grid.depth", [2**55]), "is not a depth"),
        (_config("training.steps", 10**15), "at most 100000000"),
        (_config("initialization.draws", 10**15), "initialization.draws"),
        (_config("name", "n" * 10**5), "at most 200 characters"),
        (_nothing_measured, "neither `training` nor `initialization`"),
        (_no_config("[" * 10**5), "a value cannot be read"),
        (_no_config(3), "it is no text"),
        (_shape("training/status", 0, 10**9), "its arrays have one of [1000000000, 1, 2, 1]"),
        (_shape("training/status", 2, 10**15), "its arrays have one of [2, 1, 1000000000000000, 1]"),
        (_shape("parts/status", 2, 10**12), "parts/status declares"),
    ],
)
def test_what_no_sweep_can_have_is_refused_where_the_store_is_opened(
    change: Change, told: str, command: str, store: Path
) -> None:
    """One message, exit 2: no MemoryError, no hang, no traceback."""
    change(store)
    done = CliRunner().invoke(app, [command, str(store), *(["--dry-run"] if command == "refine" else [])])
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 5


@pytest.mark.parametrize(
    "change",
    [
        _shape("training/loss", 2, 10**15),
        _shape("training/seed", 0, 10**15),
        _shape("theory/lambda_min", 0, 10**12),
        _shape("theory/infinite_ntk", 1, 10**12),
        _shape("run/block_cells", 0, 10**12),
        _shape("failures/training", 2, 10**12),
        _config("data.samples", 10**9),
    ],
)
def test_arrays_of_another_size_are_refused_before_they_are_analysed(change: Change, store: Path) -> None:
    """The array is named; the untouched store is analysed (control: `finished`)."""
    change(store)
    done = CliRunner().invoke(app, ["analyze", str(store)])
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 2, done.output
    assert "writes its zarr.json again" in done.stderr


@pytest.mark.parametrize("array", ["training/status", "training/loss"])
def test_a_chunk_that_would_unpack_to_256_mb_is_not_unpacked(array: str, store: Path) -> None:
    """It is 8 kB long and its checksum is right; it is named as damaged, and nothing decodes it."""
    chunk = next(file for file in sorted((store / array / "c").rglob("*")) if file.is_file())
    body = numcodecs.Zstd(level=9).encode(np.zeros(1 << 28, dtype=np.uint8))
    chunk.write_bytes(bytes(body) + int(google_crc32c.value(bytes(body))).to_bytes(4, "little"))
    tracemalloc.start()
    try:
        done = CliRunner().invoke(app, ["analyze", str(store)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert done.exit_code == 1, done.output
    assert f"{array}/c" in done.stderr
    assert peak < 1 << 27


def test_a_frame_says_its_size() -> None:
    """Every length that the header's field can have, against what the library makes of it."""
    for size in (1, 255, 256, 300, 70_000, 1 << 24):
        assert frame_size.of(bytes(numcodecs.Zstd().encode(np.zeros(size, dtype=np.uint8)))) == size
    assert frame_size.of(b"") is None
    assert frame_size.of(b"\x28\xb5\x2f\xfd\xe0") is None


@pytest.mark.parametrize("command", ["status", "analyze", "list", "report"])
def test_a_strangers_name_cannot_steer_the_terminal(command: str, store: Path, tmp_path: Path) -> None:
    """Escape sequences, line breaks and marks of direction reach neither the terminal nor the page."""
    for file in store.rglob("*inventory*"):  # without it nobody knows that the name is another one
        file.unlink()
    _config("name", "a\x1b[2J\u202e\nb")(store)
    place = tmp_path if command == "list" else store
    output = ["--output", str(tmp_path / "page")] if command == "report" else []
    done = CliRunner().invoke(app, [command, str(place), *output])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page" / "index.html").read_text() if output else ""
    assert not {"\x1b", "\u202e"} & set(done.output + page)


def test_a_config_of_a_billion_cells_is_refused(tmp_path: Path) -> None:
    """In a config of one's own as in a stranger's store: the statuses alone would fill a machine."""
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**SMALL, "grid": {**GRID, "seed": 10**9}}))
    for command in ("plan", "theory", "run"):
        done = CliRunner().invoke(app, [command, str(tmp_path / "a.yaml")])
        assert done.exit_code == 2, done.output
        assert "2,000,000,000 cells" in done.stderr


@pytest.mark.parametrize("option", ["partition", "account", "store"])
def test_a_line_break_in_what_slurm_reads_is_refused(option: str, tmp_path: Path) -> None:
    """It would end the comment, and the rest would be run by the shell."""
    evil = "a\ntouch ran"
    job = Job("name", tmp_path / "a.yaml", (), evil if option == "store" else "a.zarr", Resources())
    texts = {"partition": evil} if option == "partition" else {"account": evil}
    with pytest.raises(InputError, match="line breaks"):
        batch_script(job, **(texts if option != "store" else {}))
