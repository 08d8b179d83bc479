"""Several drivers that start at one instant: one works, the others are refused or find the work done."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drills.hosts import differences
from tests.pipeline.conftest import measured_bytes, start
from tests.pipeline.conftest import write_config as write_config
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
Write = Callable[..., Path]
ROUNDS = 10
GROWN = "grid.seed=5"


def at_once(drivers: list[list[str]]) -> list[tuple[int, str]]:
    """Exit codes and words of commands that start together."""
    processes: list[subprocess.Popen[str]] = [start(*arguments) for arguments in drivers]
    return [(each.returncode, told) for each in processes for _, told in [each.communicate(timeout=300)]]


@pytest.mark.parametrize("drivers", [2, 4])
@pytest.mark.parametrize("store", ["new", "finished", "growing"])
def test_of_drivers_that_start_together_one_works(
    store: str, drivers: int, write_config: Write, tmp_path: Path
) -> None:
    """Ten rounds: exit 0 or 2, one 0 at least; the bits of one run alone, and nothing beside the store."""
    path, calm = write_config(), tmp_path / "calm.zarr"
    for settings in ([], [GROWN]) if store == "growing" else ([],):
        run(sweep_config.load(path, settings), str(calm), scheduler="local")
    expected = measured_bytes(calm)
    more = ["--set", GROWN] if store == "growing" else []
    for number in range(ROUNDS):
        url = tmp_path / f"{number}.zarr"
        if store != "new":
            run(sweep_config.load(path), str(url), scheduler="local")
        command = ["run", str(path), "--store", str(url), "--scheduler", "local"]
        ended = at_once([[*command, *(more if each == 0 else [])] for each in range(drivers)])
        codes = [code for code, _ in ended]
        assert set(codes) <= {0, 2}, ended
        assert 0 in codes, ended
        assert not any("Traceback" in told for _, told in ended), ended
        if store == "growing" and codes[0] == 2:  # refused while another looked at the finished store
            assert at_once([[*command, *more]])[0][0] == 0
        assert differences(url, expected) == []
    places = {"calm.zarr", "small.yaml", *(f"{number}.zarr" for number in range(ROUNDS))}
    assert {each.name for each in tmp_path.iterdir()} == places
