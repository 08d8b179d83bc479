"""`widesweep report --watch`: the page grows while a sweep runs, and rests when it ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from widesweep.analysis.report import page as reports
from widesweep.analysis.report.page import REFRESH
from widesweep.pipeline import cli
from widesweep.pipeline.execution import watch
from widesweep.pipeline.store import reader

Feed = Callable[..., list[int]]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Feed:
    """Makes the status go through blocks done, and then end; returns the refreshes of the pages written."""

    def feed(*done: int, end: type[BaseException] | None = None) -> list[int]:
        states = iter(done)
        pages: list[int] = []

        def status(url: str) -> dict[str, Any]:
            blocks = next(states, None)
            if blocks is None and end is not None:
                raise end
            return {"running": blocks is not None, "blocks": {"done": blocks or 0, "total": 9}}

        def write(url: str, output: Path | None, *, refresh_s: int = 0, laws: object = ()) -> Path:
            pages.append(refresh_s)
            page = tmp_path / "index.html"
            page.write_text(f"page {len(pages)}" + (REFRESH.format(refresh_s) if refresh_s else ""))
            return page

        monkeypatch.setattr(watch, "status", status)
        monkeypatch.setattr(watch, "REFRESH_S", 1)
        clock = SimpleNamespace(monotonic=itertools.count().__next__, sleep=lambda seconds: None)
        monkeypatch.setattr(watch, "time", clock)
        monkeypatch.setattr(reports, "write", write)
        there = SimpleNamespace(finished_blocks=lambda: np.ones(1, dtype=bool), check_arrays=lambda: None)
        monkeypatch.setattr(reader, "Store", lambda url: there)
        return pages

    return feed


def report(*options: str) -> Any:
    return CliRunner().invoke(cli.app, ["report", "s.zarr", "--watch", *options])


def test_a_page_is_written_when_blocks_have_arrived(feed: Feed, tmp_path: Path) -> None:
    """Not before the first block, not again without a new one; the last page is the finished sweep's."""
    pages = feed(0, *[1] * 20, *[2] * 20)
    done = report()
    assert done.exit_code == 0, done.output
    assert pages == [1, 1, 0]
    assert (tmp_path / "index.html").read_text() == "page 3"
    assert "grows while the sweep runs" in done.stderr
    assert done.stdout == f"{tmp_path / 'index.html'}\n"


def test_a_page_is_not_written_at_once_for_every_block(feed: Feed) -> None:
    """Four times as long as a page took pass until the next: thirty polls with new blocks give few pages."""
    pages = feed(*range(1, 31))
    assert report().exit_code == 0
    assert 3 <= len(pages) <= 9


def test_a_sweep_that_does_not_run_gets_one_page(feed: Feed) -> None:
    """Then --watch says nothing that the plain command does not."""
    pages = feed()
    assert report().exit_code == 0
    assert pages == [0]


def test_ctrl_c_exits_130_and_the_page_rests(feed: Feed, tmp_path: Path) -> None:
    """The page that was there stays, and loads itself no more."""
    feed(1, end=KeyboardInterrupt)
    done = report()
    assert done.exit_code == 130
    assert (tmp_path / "index.html").read_text() == "page 1"


def test_a_wrong_store_is_refused(tmp_path: Path) -> None:
    """As without --watch: exit 2, one message."""
    done = CliRunner().invoke(cli.app, ["report", str(tmp_path / "none.zarr"), "--watch"])
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_a_watched_store_may_be_named_by_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`report ~/a.zarr --watch` looks where `run` writes it, as without --watch."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for options in ([], ["--watch"]):
        done = CliRunner().invoke(cli.app, ["report", "~/a.zarr", *options])
        assert done.exit_code == 2
        assert f"{tmp_path}/a.zarr: there is no store" in done.stderr
