"""What losses count, and about how many sizes of memory blocks are scheduled by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import driver, scheduler
from widesweep.pipeline.execution.local_scheduler import LocalScheduler
from widesweep.pipeline.plan import blocks as plans
from widesweep.pipeline.plan import data, resource_sizes
from widesweep.pipeline.plan.blocks import Block, BlockState
from widesweep.pipeline.store import checkpoints, chunks

Write = Callable[..., Path]


def attempt() -> scheduler.Attempt:
    return scheduler.Attempt(Block(0, "training", {}, 1.0, 0, 1, 0, BlockState()))


def test_losses_between_which_a_block_progressed_never_fail_it() -> None:
    """A hundred preemptions, each after another checkpoint: started again each time, in the same batches."""
    one = attempt()
    for n in range(100):
        again, _ = one.after_loss("NodeDiedError", frozenset({("key", str(n))}), machine=True)
        assert again
    assert one.block.state.split == 1


def test_losses_without_progress_end() -> None:
    """The same checkpoint each time, or none: the last of `LOSSES` gives the block up."""
    for left in (frozenset[tuple[str, str]](), frozenset({("key", "same")})):
        one = attempt()
        told = [one.after_loss("NodeDiedError", left, machine=True)[0] for _ in range(scheduler.LOSSES)]
        assert told == [True] * (scheduler.LOSSES - 1) + [False]
        assert one.block.state.split == 1


def test_kills_without_progress_make_batches_smaller() -> None:
    """Two plain kills in a row may be the memory's end: halved, and again after four; lost machines not."""
    one, splits = attempt(), []
    for machine in (False, True, False, False, False):
        one.after_loss("killed", frozenset(), machine=machine)
        splits.append(one.block.state.split)
    assert splits == [1, 1, 2, 2, 4]


def test_marks_tell_a_checkpoint_from_the_one_before(write_config: Write, tmp_path: Path) -> None:
    """The block's own files alone count, and a file that was replaced has another mark."""
    sweep = sweep_config.load(write_config())
    made, url = data.make_plan(sweep, 2), str(tmp_path / "a.zarr")
    mine, other = made.block(0), made.block(1)
    file = tmp_path / "a.zarr" / checkpoints.key(sweep.config, mine, 0)
    assert checkpoints.marks(url, sweep.config, mine) == frozenset()
    found = []
    for content in (b"first", b"second"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".new").write_bytes(content)
        file.with_suffix(".new").replace(file)
        found.append(checkpoints.marks(url, sweep.config, mine))
        assert checkpoints.marks(url, sweep.config, mine) == found[-1]
    assert found[0] != found[1]
    assert all(found)
    assert checkpoints.marks(url, sweep.config, other) == frozenset()


@given(st.floats(0.0, 2.0**37))
def test_a_size_holds_what_is_needed_and_little_more(needed: float) -> None:
    """At least what is needed; above the least size at most twice that."""
    size = resource_sizes.memory_bytes(needed)
    assert size >= needed
    assert size == resource_sizes.LEAST_BYTES or size <= 2 * needed + 1


@pytest.mark.parametrize("pairs", [500])
def test_there_are_about_a_dozen_sizes(pairs: int) -> None:
    """Blocks of 500 pairs from 0.4 to 128 GiB: 13 sizes."""
    sizes = {resource_sizes.memory_bytes(0.4 * 2**30 * 320 ** (n / (pairs - 1))) for n in range(pairs)}
    assert len(sizes) == 13


@pytest.mark.usefixtures("in_process")
def test_a_run_reads_statuses_once_before_its_first_block(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a new store each group's statuses are read once; of a resumed one before its claim and after."""
    path, url, read = write_config(), str(tmp_path / "a.zarr"), list[str]()
    real, started = chunks.read_all, list[list[str]]()

    def counted(url: str, array: Any) -> Any:
        read.append(array.path)
        return real(url, array)

    monkeypatch.setattr(chunks, "read_all", counted)
    monkeypatch.setattr(LocalScheduler, "run", lambda *_: started.append(sorted(read)))
    groups = ["initialization/status", "parts/status", "training/status"]
    for times in (1, 2):
        read.clear()
        driver.run(sweep_config.load(path), url)
        most = sorted(times * groups)
        assert set(started[-1]) == set(groups)
        assert all(started[-1].count(each) <= most.count(each) for each in groups)


@pytest.mark.usefixtures("in_process")
def test_a_seed_divided_by_learning_rates_has_the_same_bits(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block of a seed at two rates, and two blocks of a cell each: equal arrays."""
    grid = {"width": [8], "depth": [1], "seed": 1}
    sweep = sweep_config.load(write_config(grid=grid, initialization=None))
    found = []
    for short_s, blocks in ((2.0, 1), (1e-9, 2)):
        monkeypatch.setattr(plans, "SHORT_BLOCK_S", short_s)
        url = str(tmp_path / f"{blocks}.zarr")
        store = driver.run(sweep, url)
        assert store.finished_blocks().tolist() == [True] * blocks
        found.append(xr.open_datatree(url, engine="zarr")["training"].to_dataset().load())
    xr.testing.assert_identical(*found)
