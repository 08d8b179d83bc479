"""`widesweep refine` on random networks: more draws at some pairs, with the bits that so many give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.pipeline.test_refine import interval
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution import worker
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.refine import design_space, record, refine
from widesweep.pipeline.refine.goal import Goal
from widesweep.pipeline.store.reader import Store
from widesweep.workers import random_networks

Write = Callable[..., Path]
SWEEP: dict[str, Any] = {
    "training": None,
    "data": None,
    "grid": {"width": [8, 16, 32], "depth": [1, 2], "seed": None, "learning_rate": None},
    "initialization": {"draws": 3000, "orders": [4]},
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Every part that is drawn: width, depth, number; parts are of 1,024 draws."""
    from dataclasses import replace

    parts: list[tuple[int, int, int]] = []
    cumulants = replace(random_networks.STATISTICS["cumulants"], part_draws=lambda case: 1024)
    monkeypatch.setitem(random_networks.STATISTICS, "cumulants", cumulants)
    real = random_networks.sample

    def counted(block: Any, numbers: Any) -> Any:
        parts.extend((block.width, block.depth, number) for number in numbers)
        return real(block, numbers)

    monkeypatch.setattr(random_networks, "sample", counted)
    return parts


@pytest.fixture
def sweep(
    write_config: Write,
    tmp_path: Path,
    in_process: None,
    drawn: list[Any],
) -> tuple[Path, str]:
    """Finished draws of six pairs: the config and its store."""
    path, url = write_config(**SWEEP), str(tmp_path / "a.zarr")
    run(sweep_config.load(path), url)
    drawn.clear()
    return path, url


def initialization(url: str) -> xr.Dataset:
    return xr.open_datatree(url, engine="zarr")["initialization"].to_dataset().load()


def test_pairs_get_draws_of_their_own_with_the_bits_of_so_many(
    sweep: tuple[Path, str], drawn: list[tuple[int, int, int]]
) -> None:
    """An interval is reached; each pair is what a store with its number of draws would hold."""
    path, url = sweep
    wanted = 0.6 * interval(url, "cumulant_4")
    found = refine(url, Goal(("cumulant_4",), interval=wanted))
    assert found["stopped"] == "reached"
    assert interval(url, "cumulant_4") <= wanted
    store, group = Store(url), initialization(url)
    draws = store.pair_draws
    assert len(np.unique(draws[draws > 0])) > 1
    assert store.cell_counts()["pending"] == 0
    settings = sweep_config.load(path).config
    for w, d in np.argwhere(draws > 0):
        width, depth = int(group.width[w]), int(group.depth[d])
        task = sampling.block(settings, width, depth, draws=int(draws[w, d]))
        alone = random_networks.run(task)
        assert int(group.draws[w, d, 0]) == draws[w, d]
        assert float(group.cumulant[w, d, 0]) == float(alone.cumulant[0])
    for each in record.read(url).rounds:
        assert all(group["draws"] > 0 and group["why"] for group in each["proposed"])


def test_no_full_part_is_drawn_twice(sweep: tuple[Path, str], drawn: list[tuple[int, int, int]]) -> None:
    """3,000 draws are two full parts and a rest: of pairs there, parts 0 and 1 stay."""
    _, url = sweep
    refine(url, Goal(("cumulant_4",), interval=0.6 * interval(url, "cumulant_4")))
    old = {(w, d) for w in (8, 16, 32) for d in (1, 2)}
    assert drawn
    assert not [part for part in drawn if part[:2] in old and part[2] < 2]


def test_the_config_of_refined_draws_still_runs_and_grows(
    sweep: tuple[Path, str], drawn: list[tuple[int, int, int]]
) -> None:
    """The first config computes nothing and loses nothing; more draws are drawn where fewer are."""
    path, url = sweep
    refine(url, Goal(("cumulant_4",), interval=0.6 * interval(url, "cumulant_4")))
    before, group = Store(url).pair_draws, initialization(url)
    drawn.clear()
    run(sweep_config.load(path), url)
    assert not drawn
    xr.testing.assert_identical(group, initialization(url))
    run(sweep_config.load(path, ["initialization.draws=5000"]), url)
    after = Store(url).pair_draws
    there = np.zeros(before.shape, dtype=bool)
    there[:3, :2] = True
    np.testing.assert_array_equal(after, np.where(there, np.maximum(before, 5000), before))
    assert Store(url).cell_counts()["pending"] == 0
    kept = np.argwhere((before == after) & (before > 0))
    for w, d in kept:
        assert float(initialization(url).cumulant[w, d, 0]) == float(group.cumulant[w, d, 0])
    with pytest.raises(InputError):
        run(sweep_config.load(path, ["initialization.draws=2000"]), url)


class ProcessEndedError(BaseException):
    """What stands for the end of a process: nothing that a block's own defect looks like."""


def test_draws_of_a_round_that_died_are_drawn_once(
    sweep: tuple[Path, str], drawn: list[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver dies after the first block: the same command draws the other parts alone."""
    _, url = sweep
    goal = Goal(("cumulant_4",), interval=0.2 * interval(url, "cumulant_4"))
    real, ended = worker.execute, []

    def dying(*arguments: Any) -> Any:
        if ended:
            raise ProcessEndedError
        ended.append(True)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", dying)
        with pytest.raises(ProcessEndedError):
            refine(url, goal)
    first = set(drawn)
    drawn.clear()
    found = refine(url, goal)
    assert found["stopped"] == "reached"
    assert found["rounds"][0]["interrupted"] == 1
    if len(found["rounds"]) == 1:
        assert not first & set(drawn)


def test_blocks_of_draws_are_compared_with_their_own_parts(sweep: tuple[Path, str]) -> None:
    """From 3,000 draws to 4,500: one part is drawn anew, two are new, and the last of them is not full."""
    path, url = sweep
    run(sweep_config.load(path, ["initialization.draws=4500"]), url)
    store = Store(url)
    assert store.parts_per_block == 3
    widths, depths = np.array([8.0, 16.0, 32.0]), np.array([1.0, 2.0])
    blocks = design_space.drawn_blocks(store, widths, depths)
    for pair in range(6):
        width, depth = int(widths[pair // 2]), int(depths[pair % 2])
        model_s = blocks.model_s[(blocks.place == pair) & (blocks.core_s > 0)].sum()
        assert np.isclose(model_s, sampling.draws_s(store.config, width, depth, 1024 + 1024 + 404))
