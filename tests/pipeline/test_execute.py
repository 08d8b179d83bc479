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
    from widesweep.pipeline.config import sweep_config
    from widesweep.pipeline.execution import worker
    from widesweep.pipeline.plan import data as planning
    from widesweep.pipeline.predict import prediction
    from widesweep.pipeline.store import claim, template
    from widesweep.pipeline.store.reader import Store

    _, file, url, load = sys.argv
    sweep = sweep_config.load(pathlib.Path(file))
    data, plan = planning.load_data(sweep), planning.make_plan(sweep, 1)
    template.create(url, plan, prediction.predict(sweep.config, data), data.index, "")
    rates = Store(url).learning_rate_absolute
    permit = claim.take(url).permit
    shared = worker.Sweep(permit, sweep.config, sweep.config.hash, data, rates, "cpu", 2**30)
    block = plan.block(0)
    if load == "loaded":
        worker._load(shared, block)
    before = set(sys.modules)
    worker.execute(shared, block)
    print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.slow
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
