"""A block on a worker: what its time holds."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

FEW_MODULES = 10  # of the standard library, as threads and temporary names need them
FIRST_BLOCK = """
    import pathlib
    import sys
    from pipeline import config, data_source, execute, predict, store_create
    from pipeline.store import Store

    _, file, url, load = sys.argv
    sweep = config.load(pathlib.Path(file))
    data, plan = data_source.load_data(sweep), data_source.make_plan(sweep, 1)
    store_create.create(url, plan, predict.predict(sweep.config, data), data.index, "")
    rates = Store(url).learning_rate_absolute
    shared = execute.Sweep(url, sweep.config, sweep.config.hash, data, rates, "cpu", 2**30)
    block = plan.block(0)
    if load == "loaded":
        execute._load(shared, block)
    before = set(sys.modules)
    execute.execute(shared, block)
    print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(("load", "is_there"), [("loaded", True), ("as it is", False)])
def test_a_block_waits_for_no_library(
    write_config: Callable[..., Path], tmp_path: Path, load: str, is_there: bool
) -> None:
    """What a process's first block needs, machine code too, is there before its time begins."""
    config = write_config(grid={"width": [4], "depth": [1], "seed": 1, "learning_rate": [0.5]})
    arguments = [str(config), str(tmp_path / "first.zarr"), load]
    command = [sys.executable, "-c", textwrap.dedent(FIRST_BLOCK), *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stderr
    assert (len(told.stdout.split()) < FEW_MODULES) == is_there
