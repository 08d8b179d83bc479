"""`widesweep refine`: what it adds and what it leaves, its record, its resumption, its refusals."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from tests.pipeline.conftest import (
    SMALL,
    Cell,
    compute_here,
    count_trained,
    measured_bytes,
)
from widesweep import analysis
from widesweep.analysis.refine.allocation import Allocation
from widesweep.analysis.refine.rounds import foreseen
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution import worker
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.execution.local_scheduler import LocalScheduler
from widesweep.pipeline.refine import proposal, record, refine, text
from widesweep.pipeline.refine.goal import Goal, duration_s
from widesweep.pipeline.refine.proposal import Step
from widesweep.pipeline.refine.snapshot import look_at
from widesweep.pipeline.store.reader import Store
from widesweep.workers.variable import DONE, NOT_REQUESTED

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config and the store of a finished sweep of three widths."""
    folder = tmp_path_factory.mktemp("finished")
    grid = {"width": [8, 16, 32], "depth": [1, 2], "seed": 4, "learning_rate": [0.5, 1.0]}
    training = {"steps": 20, "records": 6, "measure": ["loss", "drift"]}
    content = {**SMALL, "grid": grid, "training": training, "store": "a.zarr"}
    del content["initialization"]
    (folder / "small.yaml").write_text(yaml.safe_dump(content))
    run(sweep_config.load(folder / "small.yaml"), str(folder / "a.zarr"), scheduler="local")
    return folder


@pytest.fixture
def sweep(finished: Path, tmp_path: Path, trained: list[Cell]) -> tuple[Path, str]:
    """A copy of it: its config and its store."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "small.yaml", str(tmp_path / "a.zarr")


def interval(url: str, law: str = "weight_drift") -> float:
    found = next(f for f in analysis.examine(url).law_results if f.name == law)
    return found.estimate.high - found.estimate.low


@dataclass(frozen=True)
class Refined:
    """What a refinement of the sweep to seven tenths of its interval found, and the cells that it trained."""

    folder: Path
    goal: Goal
    found: dict[str, Any]
    cells: list[Cell]


@pytest.fixture(scope="module")
def refined_once(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Refined:
    folder = tmp_path_factory.mktemp("refined")
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    url = str(folder / "a.zarr")
    goal = Goal(("weight_drift",), interval=0.7 * interval(url))
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        cells = count_trained(patch)
        return Refined(folder, goal, refine(url, goal), cells)


@pytest.fixture
def refined(refined_once: Refined, tmp_path: Path, trained: list[Cell]) -> Refined:
    """A copy of it."""
    shutil.copytree(refined_once.folder, tmp_path, dirs_exist_ok=True)
    return replace(refined_once, folder=tmp_path)


def test_an_interval_is_reached_by_cells_that_are_trained_once(refined: Refined) -> None:
    """Rounds end below the interval asked for; old cells and cells nobody asked for are not trained."""
    url, cells = str(refined.folder / "a.zarr"), refined.cells
    assert refined.found["stopped"] == "reached"
    assert refined.goal.interval is not None
    assert interval(url) <= refined.goal.interval
    assert len(cells) == len(set(cells)) > 0
    old = set(sweep_config.load(refined.folder / "small.yaml").config.grid.seeds)
    assert not {c for c in cells if c[2] in old and c[0] in (8, 16, 32)}
    store = Store(url)
    assert store.requested is not None
    assert store.cell_counts() == {"done": 48 + len(cells), "diverged": 0, "failed": 0, "pending": 0}
    laws = analysis.analyze(url)
    assert laws["cells"]["pending"] == 0
    assert "left out" not in laws["laws"]["weight_drift"]["note"]


def test_the_same_goal_again_finds_it_reached(refined: Refined, trained: list[Cell]) -> None:
    """A goal that is met costs nothing more; the old rounds stay on record."""
    url = str(refined.folder / "a.zarr")
    again = refine(url, refined.goal)
    assert again["stopped"] == "reached"
    assert not trained
    assert again["rounds"] == []
    assert len(record.read(url).rounds) == len(refined.found["rounds"])


def test_every_round_is_on_record(refined: Refined) -> None:
    """What was known, proposed, forecast, spent and found, readable by plain xarray."""
    tree = xr.open_datatree(refined.folder / "a.zarr", engine="zarr")
    rounds = json.loads(tree["refinement"].attrs["rounds"])
    assert rounds == refined.found["rounds"]
    for each in rounds:
        assert each["state"] == "done"
        assert each["cost_s"] > 0
        assert each["cost_forecast_s"] > 0
        assert {"known", "proposed", "found", "interval_forecast", "goal"} <= set(each)
        assert all(group["seeds"] > 0 and group["why"] for group in each["proposed"])
        low, high = each["interval_band"]["weight_drift"]
        told = each["interval_forecast"]
        assert (not told) == bool(each["seeds_for_forecast"])
        assert low <= told.get("weight_drift", low) <= high
    assert rounds[-1]["ended"] == "reached"


def test_a_round_that_dies_is_ended_by_the_same_command(
    sweep: tuple[Path, str], trained: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or while the store grows, or between blocks: the same command trains the rest, once."""
    from widesweep.pipeline.store import regrid

    _, url = sweep
    goal = Goal(("weight_drift",), interval=0.7 * interval(url))
    inline = LocalScheduler.run

    def dying(cluster: Any, shared: Any, blocks: Any, listener: Any, stop: Any) -> None:
        inline(cluster, shared, [next(iter(blocks))], listener, stop)
        raise KeyError("the process died here")

    deaths = ((regrid, "grow", _die), (regrid, "finish", _die), (LocalScheduler, "run", dying))
    for place, name, broken in deaths:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, broken)
            with pytest.raises(KeyError):
                refine(url, goal)
    assert record.read(url).unfinished is not None
    found = refine(url, goal)
    assert found["stopped"] == "reached"
    assert len(trained) == len(set(trained))
    assert record.read(url).unfinished is None
    assert found["rounds"][0]["interrupted"] == 3
    assert proposed(found) == len(trained)


@pytest.mark.slow
def test_progress_counts_a_cell_once(sweep: tuple[Path, str], capfd: pytest.CaptureFixture[str]) -> None:
    """Blocks that were partly done when a round took them: the last line of each run has all cells done."""
    path, url = sweep
    run(sweep_config.load(path, ["grid.seed=5"]), url)
    run(sweep_config.load(path, ["grid.seed=7"]), url)
    last = [line for line in capfd.readouterr().err.splitlines() if " cells" in line][-1]
    assert "84/84 cells" in last


def proposed(found: dict[str, Any]) -> int:
    """Cells of all rounds."""
    return sum(len(g["learning_rate"]) * g["seeds"] for r in found["rounds"] for g in r["proposed"])


def _die(*arguments: Any) -> None:
    raise KeyError("the process died here")


def test_the_config_of_a_refined_sweep_still_runs_and_still_grows(
    refined: Refined, trained: list[Cell]
) -> None:
    """A grid inside the refined one computes nothing; more seeds, just those, at the config's widths."""
    path, url = refined.folder / "small.yaml", str(refined.folder / "a.zarr")
    run(sweep_config.load(path), url)
    assert not trained
    run(sweep_config.load(path, ["grid.seed=5"]), url)
    grid = {(w, d, 4, r, 1.0) for w in (8, 16, 32) for d in (1, 2) for r in (0.5, 1.0)}
    assert set(trained) == grid - set(refined.cells)
    assert Store(url).cell_counts()["pending"] == 0
    trained.clear()
    run(sweep_config.load(path, ["grid.width=[8, 16]"]), url)
    assert not trained


def test_plain_xarray_sees_which_cells_were_never_requested(refined: Refined, trained: list[Cell]) -> None:
    """Status 4 for them alone; requested after all they are pending, then done; repair leaves the others."""
    path, url = refined.folder / "small.yaml", str(refined.folder / "a.zarr")
    status = xr.open_zarr(url, group="training")["status"].load()
    names = dict(zip(status.attrs["flag_values"], status.attrs["flag_meanings"].split(), strict=True))
    assert names[NOT_REQUESTED] == "not_requested"
    never = (status == NOT_REQUESTED).stack(cell=status.dims)
    assert int(never.sum()) == status.size - 48 - len(refined.cells) > 0
    assert set(np.unique(status)) == {DONE, NOT_REQUESTED}
    cells = never["cell"][never.values].values.tolist()
    width, depth, seed, rate = next(cell for cell in cells if cell[0] not in (8, 16, 32) and cell[2] < 4)
    folder, chunk = Path(url) / "training/status", status.encoding["chunks"]

    def has_some(file: Path) -> bool:
        numbers = map(int, re.findall(r"\d+", str(file.relative_to(folder))))  # c/0/1/0/0 or c.0.1.0.0
        place = tuple(slice(i * n, (i + 1) * n) for i, n in zip(numbers, chunk, strict=True))
        return NOT_REQUESTED in status.values[place]

    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "zarr.json")
    max(files, key=has_some).write_bytes(b"")
    run(sweep_config.load(path), url, repair=True)
    xr.testing.assert_identical(xr.open_zarr(url, group="training")["status"].load(), status)
    assert not {cell[:4] for cell in trained} & set(cells)
    trained.clear()
    run(sweep_config.load(path, [f"grid.width=[8, 16, 32, {width}]"]), url)
    after = xr.open_zarr(url, group="training")["status"]
    assert int(after.sel(width=width, depth=depth, seed=seed, learning_rate=rate)) == DONE
    assert 0 < len(trained) == len(set(trained))
    assert {cell[:4] for cell in trained} <= set(cells)


def test_refined_cells_have_the_bits_of_a_full_grid(
    sweep: tuple[Path, str], trained: list[Cell], tmp_path: Path
) -> None:
    """Whoever asked for a cell, its numbers depend on its coordinates alone."""
    path, url = sweep
    refine(url, Goal(("weight_drift",), interval=0.8 * interval(url)))
    store = Store(url)
    grid = store.config.grid
    full = str(tmp_path / "full.zarr")
    settings = [f"grid.width={list(grid.width)}", f"grid.seed={len(grid.seeds)}"]
    run(sweep_config.load(path, settings), full)
    one, other = (analysis.open_sweep(each)["training"].ds.load() for each in (url, full))
    done = one["status"] == 1
    assert int(done.sum()) > 48
    for name in ("loss", "neuron_change_max"):
        xr.testing.assert_identical(one[name].where(done), other[name].where(done))


def test_a_dry_run_writes_nothing(sweep: tuple[Path, str], trained: list[Cell]) -> None:
    """Proposal, cost and intervals are shown; no file changes and no cell is trained."""
    _, url = sweep
    before = measured_bytes(Path(url)), sorted(str(f) for f in Path(url).rglob("*"))
    found = refine(url, Goal(("weight_drift",)), dry_run=True)
    step = found["proposal"]
    assert min(step["cells"], step["cost_forecast_s"]) > 0
    assert step["interval_band"]["weight_drift"][0] < interval(url)
    assert set(step["interval_band"]) == {*step["interval_forecast"], *step["seeds_for_forecast"]}
    for group in step["proposed"]:  # lengths only where they are told
        assert ("instead of" in group["why"]) == bool(step["interval_forecast"])
        assert ("times as long" in group["why"]) == bool(step["seeds_for_forecast"])
    told = text(found)
    assert "between" in told
    assert "with 90 %" in told
    assert ("too little is known" in told) == bool(step["seeds_for_forecast"])
    assert ("interval forecast" in told) == bool(step["interval_forecast"])
    assert not trained
    assert before == (measured_bytes(Path(url)), sorted(str(f) for f in Path(url).rglob("*")))


@pytest.mark.slow
def test_a_budget_is_kept(sweep: tuple[Path, str]) -> None:
    """The forecast of every round lies within what is left of the budget."""
    _, url = sweep
    cost_s = refine(url, Goal(("weight_drift",)), dry_run=True)["proposal"]["cost_forecast_s"]
    found = refine(url, Goal(("weight_drift",), budget_s=cost_s))
    left_s = cost_s
    for each in found["rounds"]:
        assert each["cost_forecast_s"] <= left_s
        left_s -= each["cost_s"]
    assert "budget" in found["stopped"] or found["stopped"] == "reached"


def test_a_law_that_seeds_cannot_tighten_costs_nothing(sweep: tuple[Path, str], trained: list[Cell]) -> None:
    """The reason is told, no round begins."""
    _, url = sweep
    found = refine(url, Goal(("convergence_rate",), interval=1e-3))
    assert found["stopped"] == "nothing here can be tightened by more cells"
    assert found["laws"]["convergence_rate"]["obstacle"]
    assert not trained
    assert found["rounds"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "neither is given"),
        (["--interval", "0.1", "--budget", "1h"], "both are given"),
        (["--interval", "-1"], "it is no length"),
        (["--budget", "soon"], "durations look like"),
        (["--law", "weight_drif", "--interval", "0.1"], "the nearest is weight_drift"),
    ],
)
def test_wrong_options_are_refused_in_one_message(
    arguments: list[str], told: str, sweep: tuple[Path, str]
) -> None:
    """Exit 2, one message, nothing written."""
    before = sorted(str(f) for f in Path(sweep[1]).rglob("*"))
    result = CliRunner().invoke(app, ["refine", sweep[1], *arguments])
    assert result.exit_code == 2
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert before == sorted(str(f) for f in Path(sweep[1]).rglob("*"))


def test_a_round_is_priced_by_the_blocks_that_run(
    sweep: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Second route: overhead of each block that ran and seconds of each of its cells, full or not."""
    _, url = sweep
    look = look_at(url, Goal(("weight_drift",)), ())
    where, per_block = look.seeds, look.store.seeds_per_block or 1
    assert where is not None
    ran: Counter[tuple[int, int]] = Counter()
    real = worker.execute

    def counted(shared: Any, block: Any) -> Any:
        ran[shared.config.grid.width[block.width], shared.config.grid.depth[block.depth]] += 1
        return real(shared, block)

    monkeypatch.setattr(worker, "execute", counted)
    added = np.zeros(where.seed_s.shape, dtype=np.int64)
    added[0, 0], added[-1, 0] = 1, per_block + 1
    bare = Allocation(added, np.array([True, False]), 1.0, (1.0,), 1.0)
    design = foreseen(bare, look.open, where)
    round_ = proposal.propose(look.sweep, look.store, where, [Step(design, look.open)])
    run(round_.sweep, url)
    for group in round_.shown["proposed"]:
        pair = group["width"], group["depth"]
        w, d = np.searchsorted(where.widths, pair[0]), np.searchsorted(where.depths, pair[1])
        price_s = ran[pair] * per_block * where.block_s[w, d] + group["seeds"] * where.seed_s[w, d]
        assert np.isclose(group["cost_s"], price_s, rtol=1e-9)
    assert sorted(ran.values()) == [1, 2]


def test_durations_are_read() -> None:
    """Seconds, minutes, hours, days."""
    assert [duration_s(t) for t in ("5", "5s", "2m", "1.5h", "1d")] == [5.0, 5.0, 120.0, 5400.0, 86400.0]
