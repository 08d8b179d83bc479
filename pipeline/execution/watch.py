"""The report of a sweep that runs: written anew as cells arrive, until the run ends."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from widesweep.analysis.report import page as report
from widesweep.pipeline.store.status import status

POLL_S = 2.0
REFRESH_S = 10  # of the page that a browser shows, and least time between two pages
SHARE = 4.0  # so many times as long as a page took to write pass until the next: the sweep needs the cores


def watch(url: str, output: Path | None) -> None:
    """Write the report again and again while the sweep runs; the page loads itself anew meanwhile.

    Returns when no run lives. However it ends, the last page rests: it loads itself no more.

    Args:
        url: the store's address.
        output: the report's folder; None for its place beside the store.

    Raises:
        InputError: nothing is there, or no sweep's store.
        OSError: the folder cannot be written.
    """
    page: Path | None = None
    blocks, due = 0, 0.0
    try:
        while (state := status(url))["running"]:
            done = state["blocks"]["done"]
            if done > blocks and time.monotonic() >= due:
                first, started = page is None, time.monotonic()
                page, blocks = report.write(url, output, refresh_s=REFRESH_S), done
                due = time.monotonic() + max(REFRESH_S, SHARE * (time.monotonic() - started))
                if first:
                    print(f"{page}: grows while the sweep runs", file=sys.stderr, flush=True)
            time.sleep(POLL_S)
    finally:
        if page is not None:
            report.settle(page)
