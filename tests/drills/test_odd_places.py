"""Odd places for a store: each works from `run` to `report`, or is refused in one message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.drills.test_random_stores import SWEEP
from tests.pipeline.conftest import compute_here
from widesweep.pipeline.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _link(folder: Path) -> str:
    (folder / "real").mkdir()
    (folder / "link.zarr").symlink_to(folder / "real")
    return "link.zarr"


def _linked_parent(folder: Path) -> str:
    (folder / "real").mkdir()
    (folder / "parent").symlink_to(folder / "real")
    return "parent/a.zarr"


def _circle(folder: Path) -> str:
    (folder / "circle").symlink_to(folder / "circle")
    return "circle/a.zarr"


def _dangling(folder: Path) -> str:
    (folder / "dangling.zarr").symlink_to(folder / "nowhere")
    return "dangling.zarr"


def _file(folder: Path) -> str:
    (folder / "taken.zarr").write_text("mine")
    return "taken.zarr"


def _below_file(folder: Path) -> str:
    (folder / "taken").write_text("mine")
    return "taken/a.zarr"


def _others(folder: Path) -> str:
    (folder / "others").mkdir()
    (folder / "others" / "thesis.tex").write_text("mine")
    return "others"


WORK: dict[str, Callable[[Path], str]] = {
    "spaces": lambda _: " a b .zarr",
    "quotes": lambda _: "a'b\"c`d.zarr",
    "newline": lambda _: "a\nb.zarr",
    "marks": lambda _: "a#b%20c?d&e;f.zarr",
    "glob": lambda _: "a*[b]{c}.zarr",
    "letters": lambda _: "Größe-λ-日本-\u202e.zarr",
    "dash": lambda _: "./-a.zarr",
    "no suffix": lambda _: "plain",
    "dots": lambda _: "x/../y/./a.zarr",
    "deep": lambda _: "/".join(["d"] * 40) + "/a.zarr",
    "address": lambda folder: f"file://{folder}/a.zarr",
    "colon": lambda _: "a:b.zarr",
    "link": _link,
    "linked parent": _linked_parent,
}
REFUSED: dict[str, Callable[[Path], str]] = {
    "long": lambda _: "n" * 300 + ".zarr",
    "too long to stage": lambda _: "n" * 240 + ".zarr",
    "one slash": lambda _: "file:/tmp/a.zarr",
    "scheme": lambda _: "nope://a/b.zarr",
    "nul": lambda _: "a\0b.zarr",
    "circle": _circle,
    "dangling": _dangling,
    "file": _file,
    "below a file": _below_file,
    "others": _others,
    "device": lambda _: "/dev/null",
    "proc": lambda _: "/proc/a.zarr",
}


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{arguments}: {result.exception!r}") from result.exception
    return result.exit_code, result.stderr


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny sweep, and a working folder of its own."""
    compute_here(monkeypatch)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SWEEP, "store": "unused.zarr"}))
    return path


@pytest.mark.parametrize("name", WORK)
def test_a_store_works_at_an_odd_place(name: str, config: Path) -> None:
    """Run, resume, status, analyze, report; nothing is made but the store and its report."""
    url = WORK[name](Path.cwd())
    before = {each.name for each in Path.cwd().iterdir()}
    run = ["run", str(config), "--store", url]
    reads = [["status", "--verify"], ["analyze"], ["report", "--output", "page"]]
    for arguments in (run, [*run, "--repair"], *([*each, "--", url] for each in reads)):
        code, told = said(*arguments)
        assert code == 0, (arguments, told)
    made = {each.name for each in Path.cwd().iterdir() if each.suffix != ".log"} - before - {"page"}
    assert len(made) <= 2 if name == "dots" else len(made) <= 1, made
    assert not any(each.name.endswith(".partial") for each in Path.cwd().rglob("*"))


@pytest.mark.parametrize("name", REFUSED)
def test_a_place_that_cannot_be_is_refused_in_one_message(name: str, config: Path) -> None:
    """Exit 2, one line, and what was there is as it was."""
    url = REFUSED[name](Path.cwd())
    before = {each: each.read_bytes() for each in Path.cwd().rglob("*") if each.is_file()}
    for arguments in (
        ["run", str(config), "--store", url],
        ["status", url],
        ["analyze", url],
        ["report", url],
    ):
        code, told = said(*arguments)
        assert code == 2, (arguments, told)
        assert len(told.strip().splitlines()) <= 2, told
    assert {each: each.read_bytes() for each in Path.cwd().rglob("*") if each.is_file()} == before
