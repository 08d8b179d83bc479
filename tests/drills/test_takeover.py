"""A run that is stopped as a whole, taken over by another host, and woken: it changes no bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drills.hosts import (
    SWEEP,
    differences,
    executes,
    needs_hosts,
    on_host,
    stop_whole,
    taken_for_dead,
    work_on,
)
from tests.pipeline.conftest import measured_bytes, start, wait_until
from tests.pipeline.conftest import write_config as write_config
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import checkpoints, objects
from widesweep.pipeline.store.permit import CLAIMS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), needs_hosts]
Write = Callable[..., Path]
GROWN = ["--set", "grid.seed=4"]


@pytest.mark.parametrize("scheduler", ["local", "ray"])
@pytest.mark.parametrize("second", [[], GROWN, [*GROWN, "--repair"]], ids=["same", "grown", "repaired"])
def test_a_stopped_run_that_wakes_up_overwrites_nothing(
    second: list[str], scheduler: str, write_config: Write, tmp_path: Path
) -> None:
    """Driver and workers stop after the first checkpoint; another host finishes; they wake up and give way.

    The workers wake up first, and would have all the time to write.
    The loser exits with 75 and says why; arrays, statuses, claim and checkpoints are as if it never woke.
    """
    path, url, calm = write_config(**SWEEP), tmp_path / "small.zarr", tmp_path / "calm.zarr"
    for settings in ([], [each for each in second if "=" in each]):
        run(sweep_config.load(path, settings), str(calm), scheduler="local")
    expected = measured_bytes(calm)
    with on_host("hosta", "run", str(path), "--scheduler", scheduler) as first:
        wait_until(
            lambda: checkpoints.names(str(url)) or first.poll() is not None,
            deadline_s=300,
            what="a checkpoint",
        )
        stopped = stop_whole(first.pid)
        assert first.poll() is None, "the sweep is too short to be stopped"
        wait_until(lambda: taken_for_dead(url), deadline_s=90, what="the end of its claim")
        with on_host("hostb", "run", str(path), "--scheduler", "local", *second) as later:
            _, told = later.communicate(timeout=300)
            assert later.returncode == 0, told
        assert differences(url, expected) == []
        analysis = start("analyze", str(url), "--json")
        laws, _ = analysis.communicate(timeout=200)
        (claimed,) = objects.names(str(url), CLAIMS)
        work_on([each for each in stopped if executes(each)], lambda: differences(url, expected))
        assert differences(url, expected) == []
        for each in stopped:
            each.resume()
        while first.poll() is None:
            assert differences(url, expected) == []
        _, told = first.communicate(timeout=200)
    assert first.returncode == 75, told
    assert "may not write to it any more" in told
    assert "Traceback" not in told
    assert differences(url, expected) == []
    assert objects.names(str(url), CLAIMS) == [claimed]
    again = start("analyze", str(url), "--json")
    assert json.loads(again.communicate(timeout=200)[0]) == json.loads(laws)
    status = start("status", str(url), "--json")
    cells = json.loads(status.communicate(timeout=60)[0])["cells"]
    assert cells == {"done": 16 if second else 8, "diverged": 0, "failed": 0, "pending": 0}
