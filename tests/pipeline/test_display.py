"""What a run says of itself: a bar on a terminal, lines elsewhere, a log file, or nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.pipeline.conftest import wait_until
from widesweep.pipeline.cli import app
from widesweep.pipeline.execution import display as displays
from widesweep.pipeline.execution import progress as bars
from widesweep.pipeline.execution.display import Display
from widesweep.pipeline.execution.progress import Progress

Write = Callable[..., Path]
CELLS = {"done": 0, "diverged": 0, "failed": 0, "pending": 8}


def on_a_terminal() -> tuple[Display, io.StringIO]:
    screen = io.StringIO()
    return Display(console=Console(file=screen, force_terminal=True, width=120)), screen


def test_a_bar_names_what_is_under_way_and_ticks() -> None:
    """Cells, rate, elapsed and remaining time, and the blocks under way, drawn without a block that ends."""
    display, screen = on_a_terminal()
    with Progress("demo", dict(CELLS), 2, 4.0, 2, display) as progress:
        progress.started("width 512, depth 3, seeds 0–3")
        wait_until(lambda: "under way: width 512" in screen.getvalue())
        shown = screen.getvalue()
        progress.block_done("width 512, depth 3, seeds 0–3", 2.0, 6.0, {"done": 4})
        assert progress.remaining_s == pytest.approx(3.0)
        wait_until(lambda: "4/8 cells" in screen.getvalue())
    assert "0:00" in shown
    assert "cells/s" in screen.getvalue()


def test_elsewhere_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also while no block ends; no control characters of a terminal."""
    monkeypatch.setattr(bars, "PLAIN_LINE_S", 0.01)
    said: list[str] = []
    display = Display(console=Console(file=io.StringIO(), force_terminal=False))
    monkeypatch.setattr(display, "say", said.append)
    with Progress("demo", dict(CELLS), 2, 4.0, 2, display):
        wait_until(lambda: len(said) >= 2)
    assert all(line.startswith("demo: 0/8 cells · 0/2 blocks") for line in said)
    assert "\x1b" not in "".join(said)


def test_a_stage_that_lasts_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short one is not; `-v` tells how long each took."""
    with Display().stage("starting Ray"):
        pass
    assert capsys.readouterr().err == ""
    with Display(verbose=True).stage("starting Ray"):
        pass
    assert capsys.readouterr().err.startswith("starting Ray: 0.")
    monkeypatch.setattr(displays, "PLAIN_LINE_S", 0.0)
    said = ""
    with Display().stage("starting Ray"):

        def told() -> bool:
            nonlocal said
            said += capsys.readouterr().err
            return "starting Ray …" in said

        wait_until(told)


@pytest.mark.usefixtures("in_process")
def test_a_quiet_run_says_nothing_and_the_log_everything(write_config: Write, tmp_path: Path) -> None:
    """Standard output and error are empty; the log beside the store has stages, and the end of each run."""
    config = str(write_config(initialization=None))
    done = CliRunner().invoke(app, ["run", config, "--quiet"])
    assert (done.exit_code, done.output) == (0, "")
    log = (tmp_path / "small.log").read_text()
    assert "checking the config against theory" in log
    assert "24/24 cells" in log
    loud: Any = CliRunner().invoke(app, ["run", config, "--set", "grid.seed=4"])
    assert "32/32 cells" in loud.stderr
    assert "finished in" in loud.stdout
    assert "32/32 cells" in (tmp_path / "small.log").read_text().removeprefix(log)
