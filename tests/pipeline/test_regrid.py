"""Values put between those of a store: plain xarray finds them in order, and never half of a growth."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import blocks as plan
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.predict import prediction as predict
from widesweep.pipeline.store import claim, growth, objects, regrid
from widesweep.pipeline.store.reader import GROWING, Store

Write = Callable[..., Path]
MORE = ["grid.width=[10, 8, 16, 12]", "grid.learning_rate=[0.5, 0.75, 1.0]", "grid.seed=[0, 1, 2, 7]"]
GROUPS = ("training", "initialization", "parts", "failures", "theory")


@pytest.fixture
def finished(write_config: Write, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished sweep in chunks of two seeds."""
    monkeypatch.setattr(plan, "balanced_seeds", lambda *_: 2)
    run(sweep_config.load(write_config()), str(tmp_path / "small.zarr"))
    return tmp_path / "small.zarr"


def grow(path: Path, url: str) -> None:
    """Room for the cells of MORE, and no cell computed."""
    store = Store(url)
    sweep = growth.merge(sweep_config.load(path, MORE), store, "")
    lengths = store.seeds_per_block, store.rates_per_block, store.parts_per_block
    made = data_source.make_plan(sweep, 2, *lengths)
    data = data_source.load_data(sweep)
    assert data is not None
    with claim.take(url) as mine:
        regrid.finish(mine.permit)
        regrid.grow(store, mine.permit, made, predict.predict(sweep.config, data), data.index)


def tree(url: Path) -> dict[str, xr.Dataset]:
    """All that plain xarray reads."""
    found = xr.open_datatree(url, engine="zarr")
    return {name: found[name].to_dataset().load() for name in GROUPS}


def is_same(one: dict[str, xr.Dataset], other: dict[str, xr.Dataset]) -> bool:
    return all(one[name].identical(other[name]) for name in GROUPS)


def files(url: Path) -> set[str]:
    """Names of all files but those of claims and of who may write."""
    found = {str(file.relative_to(url)) for file in url.rglob("*") if file.is_file()}
    return {name for name in found if "/claims/" not in name and "/writers/" not in name}


def test_a_slice_of_a_grown_store_is_that_of_a_fresh_one(
    finished: Path, write_config: Write, tmp_path: Path
) -> None:
    """`sel(width=slice(…))` by plain xarray: the widths of the slice, with the bits of a whole sweep."""
    run(sweep_config.load(write_config(), MORE), str(finished))
    run(sweep_config.load(write_config(), MORE), str(tmp_path / "fresh.zarr"))
    for axis, part in {"width": slice(9, 12), "learning_rate": slice(0.6, 1.0), "seed": slice(1, 8)}.items():
        grown, fresh = (
            xr.open_zarr(url, group="training").sel({axis: part}).load()
            for url in (finished, tmp_path / "fresh.zarr")
        )
        assert grown.sizes[axis] == fresh.sizes[axis] > 1
        xr.testing.assert_identical(grown, fresh)
    assert is_same(tree(finished), tree(tmp_path / "fresh.zarr"))
    for name in ("training", "run"):
        node = xr.open_zarr(finished, group=name)
        assert all(index.is_monotonic_increasing for index in node.indexes.values())


def test_a_store_grows_again_and_again(finished: Path, write_config: Write, tmp_path: Path) -> None:
    """A second growth puts values between those of the first; nothing of an earlier layout stays behind."""
    steps = (["grid.width=[8, 10, 12]"], ["grid.width=[8, 9, 10, 12]", "grid.depth=[1, 2, 3]"], MORE)
    for settings in steps:
        run(sweep_config.load(write_config(), settings), str(finished))
    store = Store(str(finished))
    assert store.config.grid.width == (8, 9, 10, 12, 16)
    assert store.cell_counts() == {"done": 5 * 3 * 4 * 3, "diverged": 0, "failed": 0, "pending": 0}
    whole = ["grid.width=[8, 9, 10, 12, 16]", "grid.depth=[1, 2, 3]", *MORE[1:]]
    run(sweep_config.load(write_config(), whole), str(tmp_path / "fresh.zarr"))
    assert is_same(tree(finished), tree(tmp_path / "fresh.zarr"))
    chunks = [name.split("/", 2) for name in files(finished) if "/c/" in name or "/c." in name]
    layouts = {(group, array, chunk[:2]) for group, array, chunk in chunks}
    assert len(layouts) == len({(group, array) for group, array, _ in chunks})


def operations(url: Path, path: Path, dies_at: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Grows in a process of its own, killed by a signal at an operation on the store; how many there were."""
    real, count = objects.with_retries, [0]
    reading, writing = os.pipe()

    def counted(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread().name == "claim":  # the heartbeat, whose number depends on the clock
            return real(*arguments, **options)
        count[0] += 1
        if count[0] == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(objects, "with_retries", counted)
        code = 1
        try:
            grow(path, str(url))
            os.write(writing, str(count[0]).encode())
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    os.close(writing)
    told = os.read(reading, 100)
    os.close(reading)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return int(told or 0)


def test_a_grower_killed_anywhere_leaves_the_old_store_or_the_new_one(
    finished: Path, write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real kill at operations from the first to the last: readers see one grid; the same growth ends it."""
    path, calm = write_config(), tmp_path / "calm.zarr"
    shutil.copytree(finished, calm)
    total = operations(calm, path, 0, monkeypatch)
    before, after, left = tree(finished), tree(calm), files(calm)
    assert not is_same(before, after)
    seen = set()
    for dies_at in sorted({*np.linspace(1, total, 9, dtype=int).tolist(), total - 1}):
        url = tmp_path / f"killed-{dies_at}.zarr"
        shutil.copytree(finished, url)
        assert operations(url, path, dies_at, monkeypatch) == 0
        found, store = tree(url), Store(str(url))
        assert is_same(found, before) or is_same(found, after)
        assert store.cell_counts()["done"] == 24
        seen.add((is_same(found, after), bool(store.attributes.get(GROWING))))
        with claim.take(str(url)) as mine:
            regrid.finish(mine.permit)
        grown = Store(str(url))
        if growth.is_needed(growth.merge(sweep_config.load(path, MORE), grown, ""), grown):
            grow(path, str(url))
        assert is_same(tree(url), after)
        assert files(url) == left
        shutil.rmtree(url)
    assert {(False, True), (True, True)} <= seen


@pytest.mark.parametrize(("share", "completed"), [(0.3, False), (0.95, True)])
def test_another_growth_after_a_killed_one_finds_nothing_half_done(
    share: float,
    completed: bool,
    finished: Path,
    write_config: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Chunks staged for one grid are not those of another; a growth that counts is completed first."""
    path, other = write_config(), ["grid.width=[8, 11, 12]", "grid.depth=[1, 2, 3]"]
    calm, killed = tmp_path / "calm.zarr", tmp_path / "killed.zarr"
    for url in (calm, killed):
        shutil.copytree(finished, url)
    total = operations(calm, path, 0, monkeypatch)
    assert operations(killed, path, int(share * total), monkeypatch) == 0
    assert Store(str(killed)).attributes[GROWING]
    for url in (calm if completed else finished, killed):
        run(sweep_config.load(path, other), str(url))
    assert is_same(tree(calm if completed else finished), tree(killed))
    assert files(calm if completed else finished) == files(killed)


@pytest.mark.usefixtures("in_process")
def test_a_remote_store_grows_by_copies_within_it(write_config: Write, tmp_path: Path) -> None:
    """An object store, where nothing can be renamed or linked: the same values as on a disk."""
    url = f"memory://{tmp_path.name}/small.zarr"
    for settings in ([], MORE):
        run(sweep_config.load(write_config(), settings), url)
    run(sweep_config.load(write_config(), MORE), str(tmp_path / "fresh.zarr"))
    found = xr.open_datatree(url, engine="zarr")
    assert is_same({name: found[name].to_dataset().load() for name in GROUPS}, tree(tmp_path / "fresh.zarr"))
    assert Store(url).attributes.get(GROWING) is None
