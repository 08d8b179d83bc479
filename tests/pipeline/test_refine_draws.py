"""`widesweep refine` on random networks: more draws at some pairs, with the bits that so many give."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from tests.pipeline.conftest import SMALL, compute_here
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

Part = tuple[int, int, int]  # width, depth, number
SWEEP: dict[str, Any] = {
    "training": None,
    "data": None,
    "grid": {"width": [8, 16, 32], "depth": [1, 2], "seed": None, "learning_rate": None},
    "initialization": {"draws": 3000, "orders": [4]},
}


def count_drawn(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """Every part that is drawn from now on; parts are of 1,024 draws."""
    parts: list[Part] = []
    cumulants = replace(random_networks.STATISTICS["cumulants"], part_draws=lambda case: 1024)
    monkeypatch.setitem(random_networks.STATISTICS, "cumulants", cumulants)
    real = random_networks.sample

    def counted(block: Any, numbers: Any) -> Any:
        parts.extend((block.width, block.depth, number) for number in numbers)
        return real(block, numbers)

    monkeypatch.setattr(random_networks, "sample", counted)
    return parts


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, in_process: None) -> list[Part]:
    """Every part that the test draws."""
    return count_drawn(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config and the store of finished draws of six pairs."""
    folder = tmp_path_factory.mktemp("finished")
    content = {**SMALL, **SWEEP, "store": "a.zarr"}
    content = {name: section for name, section in content.items() if section is not None}
    (folder / "small.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        count_drawn(patch)
        run(sweep_config.load(folder / "small.yaml"), str(folder / "a.zarr"))
    return folder


@pytest.fixture
def sweep(finished: Path, tmp_path: Path, drawn: list[Part]) -> tuple[Path, str]:
    """A copy of it: its config and its store."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "small.yaml", str(tmp_path / "a.zarr")


@dataclass(frozen=True)
class Refined:
    """The sweep after a refinement to six tenths of its interval, what that found, and what it drew."""

    folder: Path
    wanted: float
    found: dict[str, Any]
    parts: list[Part]


@pytest.fixture(scope="module")
def refined_once(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Refined:
    folder = tmp_path_factory.mktemp("refined")
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    url = str(folder / "a.zarr")
    wanted = 0.6 * interval(url, "cumulant_4")
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        parts = count_drawn(patch)
        return Refined(folder, wanted, refine(url, Goal(("cumulant_4",), interval=wanted)), parts)


@pytest.fixture
def refined(refined_once: Refined, tmp_path: Path, drawn: list[Part]) -> Refined:
    """A copy of it."""
    shutil.copytree(refined_once.folder, tmp_path, dirs_exist_ok=True)
    return replace(refined_once, folder=tmp_path)


def initialization(url: str) -> xr.Dataset:
    return xr.open_datatree(url, engine="zarr")["initialization"].to_dataset().load()


def test_pairs_get_draws_of_their_own_with_the_bits_of_so_many(
    refined: Refined,
) -> None:
    """An interval is reached; each pair is what a store with its number of draws would hold."""
    path, url = refined.folder / "small.yaml", str(refined.folder / "a.zarr")
    assert refined.found["stopped"] == "reached"
    assert interval(url, "cumulant_4") <= refined.wanted
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


def test_no_full_part_is_drawn_twice(refined_once: Refined) -> None:
    """3,000 draws are two full parts and a rest: of pairs there, parts 0 and 1 stay."""
    old = {(w, d) for w in (8, 16, 32) for d in (1, 2)}
    assert refined_once.parts
    assert not [part for part in refined_once.parts if part[:2] in old and part[2] < 2]


def test_the_config_of_refined_draws_still_runs_and_grows(refined: Refined, drawn: list[Part]) -> None:
    """The first config computes nothing and loses nothing; more draws are drawn where fewer are."""
    path, url = refined.folder / "small.yaml", str(refined.folder / "a.zarr")
    before, group = Store(url).pair_draws, initialization(url)
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
    sweep: tuple[Path, str], drawn: list[Part], monkeypatch: pytest.MonkeyPatch
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
