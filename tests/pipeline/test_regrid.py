"""Values put between those of a store: plain xarray finds them in order, and never half of a growth."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from tests.pipeline.conftest import SMALL, compute_here
from tests.pipeline.killed_growth import MORE, grow, operations
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import blocks as plan
from widesweep.pipeline.store import claim, growth, regrid
from widesweep.pipeline.store.reader import GROWING, Store

SECTIONS: dict[str, Any] = {  # of each kind of array a few
    "grid": {"width": [8, 12], "depth": [1], "seed": 3, "learning_rate": [0.5, 1.0]},
    "training": {"steps": 9, "records": 4, "measure": ["loss", "spectrum"]},
    "initialization": {"draws": 1000, "orders": [4]},
}
EVERYWHERE = tuple(np.linspace(0.0, 1.0, 20))  # from the first operation to the last
GROUPS = ("training", "initialization", "parts", "failures", "theory")


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep in chunks of two seeds."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(yaml.safe_dump({**SMALL, **SECTIONS, "store": "small.zarr"}))
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        patch.setattr(plan, "balanced_seeds", lambda *_: 2)
        run(sweep_config.load(folder / "small.yaml"), str(folder / "small.zarr"))
    return folder


@pytest.fixture
def path(finished_once: Path, tmp_path: Path, in_process: None) -> Path:
    """Its config, in a copy of the folder."""
    shutil.copytree(finished_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "small.yaml"


@pytest.fixture
def finished(path: Path) -> Path:
    """Its store."""
    return path.with_name("small.zarr")


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


def test_a_slice_of_a_grown_store_is_that_of_a_fresh_one(finished: Path, path: Path, tmp_path: Path) -> None:
    """`sel(width=slice(…))` by plain xarray: the widths of the slice, with the bits of a whole sweep."""
    run(sweep_config.load(path, MORE), str(finished))
    run(sweep_config.load(path, MORE), str(tmp_path / "fresh.zarr"))
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


@pytest.mark.slow
def test_a_store_grows_again_and_again(finished: Path, path: Path, tmp_path: Path) -> None:
    """A second growth puts values between those of the first; nothing of an earlier layout stays behind."""
    steps = (["grid.width=[8, 10, 12]"], ["grid.width=[8, 9, 10, 12]", "grid.depth=[1, 2]"], MORE)
    for settings in steps:
        run(sweep_config.load(path, settings), str(finished))
    store = Store(str(finished))
    assert store.config.grid.width == (8, 9, 10, 12)
    assert store.cell_counts() == {"done": 4 * 2 * 4 * 3, "diverged": 0, "failed": 0, "pending": 0}
    whole = ["grid.width=[8, 9, 10, 12]", "grid.depth=[1, 2]", *MORE[1:]]
    run(sweep_config.load(path, whole), str(tmp_path / "fresh.zarr"))
    assert is_same(tree(finished), tree(tmp_path / "fresh.zarr"))
    chunks = [name.split("/", 2) for name in files(finished) if "/c/" in name or "/c." in name]
    layouts = {(group, array, chunk[:2]) for group, array, chunk in chunks}
    assert len(layouts) == len({(group, array) for group, array, _ in chunks})


@pytest.mark.parametrize("shares", [(0.5, 0.95), pytest.param(EVERYWHERE, marks=pytest.mark.slow)])
def test_a_grower_killed_anywhere_leaves_the_old_store_or_the_new_one(
    shares: tuple[float, ...], finished: Path, path: Path, tmp_path: Path
) -> None:
    """A real kill at an operation: readers see one grid; the same growth ends it."""
    calm = tmp_path / "calm.zarr"
    shutil.copytree(finished, calm)
    total = operations(calm, path, 0)
    before, after, left = tree(finished), tree(calm), files(calm)
    assert not is_same(before, after)
    seen = set()
    for dies_at in (max(1, int(share * total)) for share in shares):
        url = tmp_path / f"killed-{dies_at}.zarr"
        shutil.copytree(finished, url)
        assert operations(url, path, dies_at) == 0
        found, store = tree(url), Store(str(url))
        assert is_same(found, before) or is_same(found, after)
        assert store.cell_counts()["done"] == 12
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


@pytest.mark.parametrize(
    ("share", "completed"), [pytest.param(0.3, False, marks=pytest.mark.slow), (0.95, True)]
)
def test_another_growth_after_a_killed_one_finds_nothing_half_done(
    share: float,
    completed: bool,
    finished: Path,
    path: Path,
    tmp_path: Path,
) -> None:
    """Chunks staged for one grid are not those of another; a growth that counts is completed first."""
    other = ["grid.width=[8, 11, 12]", "grid.depth=[1, 2]"]
    calm, killed = tmp_path / "calm.zarr", tmp_path / "killed.zarr"
    for url in (calm, killed):
        shutil.copytree(finished, url)
    total = operations(calm, path, 0)
    assert operations(killed, path, int(share * total)) == 0
    assert Store(str(killed)).attributes[GROWING]
    for url in (calm if completed else finished, killed):
        run(sweep_config.load(path, other), str(url))
    assert is_same(tree(calm if completed else finished), tree(killed))
    assert files(calm if completed else finished) == files(killed)


def test_a_remote_store_grows_by_copies_within_it(path: Path, tmp_path: Path) -> None:
    """An object store, where nothing can be renamed or linked: the same values as on a disk."""
    url = f"memory://{tmp_path.name}/small.zarr"
    for settings in ([], MORE):
        run(sweep_config.load(path, settings), url)
    run(sweep_config.load(path, MORE), str(tmp_path / "fresh.zarr"))
    found = xr.open_datatree(url, engine="zarr")
    assert is_same({name: found[name].to_dataset().load() for name in GROUPS}, tree(tmp_path / "fresh.zarr"))
    assert Store(url).attributes.get(GROWING) is None
