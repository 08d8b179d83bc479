"""The template is complete before the first block, and a block writes its own chunk or nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.config.sweep_config import SweepFile
from widesweep.pipeline.errors import InputError, StorageError
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.plan.blocks import Block, Plan
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.store import claim, growth, objects, status, template
from widesweep.pipeline.store.chunks import ChunkWriter, OwnershipError
from widesweep.pipeline.store.reader import Store
from widesweep.workers.measurements import TRAINING_VARIABLES
from widesweep.workers.random_networks import VARIABLES as INITIALIZATION_VARIABLES
from widesweep.workers.variable import PENDING

Write = Callable[..., Path]


def create(path: Path, url: Path, seeds_per_block: int = 2) -> tuple[SweepFile, Plan]:
    """A store without results, of three seeds in blocks of two."""
    sweep = sweep_config.load(path)
    data = data_source.load_data(sweep)
    assert data is not None
    plan = data_source.make_plan(sweep, 2, seeds_per_block)
    template.create(str(url), plan, prediction.predict(sweep.config, data), data.index, "")
    return sweep, plan


def results(plan: Plan, block: Block) -> xr.Dataset:
    """Made-up measurements of a block: its number everywhere, all cells done."""
    sizes = {"seed": len(block.indices("seed")), "learning_rate": 2, "step": 6}
    sizes["layer"] = plan.config.grid.depth[block.depth] + 1
    values = {
        v.name: (v.dims[2:], np.full([sizes[d] for d in v.dims[2:]], block.index + 0.5, v.dtype))
        for v in TRAINING_VARIABLES
    }
    values["status"] = (("seed", "learning_rate"), np.ones((sizes["seed"], 2), np.int8))
    return xr.Dataset(values)


@pytest.fixture
def url(tmp_path: Path) -> Path:
    return tmp_path / "made.zarr"


def test_the_template_has_every_variable_with_its_dimensions_and_words(
    write_config: Write, url: Path
) -> None:
    """Each variable of the rooms' lists is there with dimensions, units, long name and coordinates."""
    create(write_config(), url)
    tree = xr.open_datatree(url, engine="zarr")
    lists = {"training": TRAINING_VARIABLES, "initialization": INITIALIZATION_VARIABLES}
    for group, variables in lists.items():
        for variable in variables:
            array = tree[group][variable.name]
            assert array.dims == variable.dims
            assert array.attrs["units"] == variable.units
            assert array.attrs["long_name"] == variable.long_name
            assert array.attrs["description"] == variable.description
            assert set(variable.dims) <= set(array.coords)
    for group in ("training", "initialization", "failures", "theory", "run"):
        for array in tree[group].to_dataset(inherit=False).variables.values():
            assert {"units", "long_name", "description"} <= set(array.attrs)
    assert tree["training"]["status"].attrs["flag_meanings"] == "pending done diverged failed not_requested"
    assert (tree["training"]["status"] == 0).all()
    assert bool(tree["training"]["loss"].isnull().all())
    assert tree["training"]["learning_rate_absolute"].dims == ("width", "depth", "learning_rate")
    assert np.isfinite(tree["theory"]["residual_norm_predicted"]).all()


def test_the_dataset_answers_to_where_and_to_means(write_config: Write, url: Path) -> None:
    """Plain xarray: `ds.where(ds.status == …)` and means work beside the reasons of failed cells."""
    create(write_config(), url)
    ds = xr.open_datatree(url, engine="zarr")["training"].to_dataset()
    kept = ds.where(ds.status == 1).mean("seed")
    assert kept.loss.dims == ("width", "depth", "learning_rate", "step")
    assert bool(kept.loss.isnull().all())
    assert {"status", "loss"} <= set(ds[["status", "loss"]].isel(step=0).to_dataframe())
    assert not {str(v.dtype) for v in ds.variables.values()} & {"object", "StringDType()"}


def test_each_group_opens_by_itself_without_a_warning(write_config: Write, url: Path) -> None:
    """Before any result, a notebook opens the tree or one group, and nothing warns."""
    create(write_config(), url)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.open_datatree(url, engine="zarr").load()
        assert xr.open_zarr(url, group="training").sizes["seed"] == 3


def test_every_array_has_checksums_and_no_pickle(write_config: Write, url: Path) -> None:
    """All arrays, coordinates too, are little-endian bytes, zstd and crc32c."""
    create(write_config(), url)
    for file in url.rglob("zarr.json"):
        metadata = json.loads(file.read_text())
        if metadata["node_type"] == "array":
            first, *others = [codec["name"] for codec in metadata["codecs"]]
            assert first == ("vlen-utf8" if metadata["data_type"] == "string" else "bytes")
            assert others == ["zstd", "crc32c"]


def test_root_attributes_say_where_results_come_from(write_config: Write, url: Path) -> None:
    """Config, hash, schema, code, libraries and time."""
    sweep, _ = create(write_config(), url)
    attributes = Store(str(url)).attributes
    assert sweep_config.of_store(attributes["config"], str(url)) == sweep.config
    assert attributes["config_hash"] == sweep.config.hash
    assert {"schema_version", "code_version", "library_versions", "created"} <= set(attributes)


def test_a_block_reads_back_as_it_was_written(write_config: Write, url: Path) -> None:
    """All blocks, the shorter last one too, come back through Zarr; layers that a depth lacks stay NaN."""
    _, plan = create(write_config(), url)
    writer = ChunkWriter(claim.take(str(url)).permit)
    blocks = [plan.block(i) for i in range(plan.training_blocks)]
    for block in blocks:
        writer.write(block, results(plan, block))
    tree = xr.open_datatree(url, engine="zarr")
    for block in blocks:
        part = tree["training"]["loss"][block.width, block.depth, block.region["seed"]]
        assert (part == block.index + 0.5).all()
        depth = plan.config.grid.depth[block.depth]
        first = block.region["seed"].start
        layers = tree["training"]["layer_relative_change"][block.width, block.depth, first]
        assert layers.isnull().all(("learning_rate", "step")).values.tolist() == [
            k > depth + 1 for k in (1, 2, 3)
        ]
    assert Store(str(url)).cell_counts() == {"done": 24, "diverged": 0, "failed": 0, "pending": 0}


def test_our_chunks_are_what_zarr_itself_would_write(write_config: Write, url: Path) -> None:
    """The encoder beside Zarr's gives the very bytes that Zarr's array writes give."""
    _, plan = create(write_config(), url)
    block = plan.block(1)
    measured = results(plan, block)
    ChunkWriter(claim.take(str(url)).permit).write(block, measured)
    file = url / "training" / "loss" / "c" / "0" / "0" / "1" / "0" / "0"
    ours = file.read_bytes()
    array = zarr.open_array(url / "training" / "loss", mode="r+")
    array[0:1, 0:1, 2:3] = measured["loss"].values[None, None]
    assert file.read_bytes() == ours


def with_seeds(block: Block, start: int, stop: int) -> Block:
    return dataclasses.replace(block, region={**block.region, "seed": slice(start, stop)})


def test_a_misaligned_region_is_refused(write_config: Write, url: Path) -> None:
    """A block that is not exactly one chunk of every array, or lacks a variable, writes nothing."""
    _, plan = create(write_config(), url)
    writer = ChunkWriter(claim.take(str(url)).permit)
    block = plan.block(0)
    wrong = [
        with_seeds(block, 1, 3),
        with_seeds(block, 0, 1),
        with_seeds(block, 0, 3),
        with_seeds(block, 0, 0),
    ]
    for each in wrong:
        with pytest.raises(OwnershipError):
            writer.write(each, results(plan, each))
    with pytest.raises(OwnershipError):
        writer.write(block, results(plan, block).drop_vars("loss"))
    with pytest.raises(OwnershipError):
        writer.write(block, results(plan, block).isel(step=slice(3)))
    assert not (url / "training" / "loss" / "c").exists()
    assert not (url / "training" / "status" / "c").exists()


def test_data_are_written_before_status(
    write_config: Write, url: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is the last file of a block; a writer that dies before leaves the block pending."""
    _, plan = create(write_config(), url)
    written: list[str] = []
    replace = os.replace

    def dying(staged: Path, target: Path) -> None:
        written.append(str(target.relative_to(url)))
        if "/status/" in written[-1]:
            raise OSError("the process died here")
        replace(staged, target)

    with claim.take(str(url)) as mine:
        monkeypatch.setattr(os, "replace", dying)
        with pytest.raises(StorageError, match="died"):
            ChunkWriter(mine.permit).write(plan.block(0), results(plan, plan.block(0)))
        assert len(set(written)) == len(TRAINING_VARIABLES)
        assert 0 in Store(str(url)).blocks_with(PENDING)
        monkeypatch.undo()
        ChunkWriter(mine.permit).write(plan.block(0), results(plan, plan.block(0)))
        assert 0 not in Store(str(url)).blocks_with(PENDING)


def test_a_failed_block_has_a_status_and_no_numbers(write_config: Write, url: Path) -> None:
    """Its cells are `failed`, its values fill, and it is not pending."""
    _, plan = create(write_config(), url)
    ChunkWriter(claim.take(str(url)).permit).write_failed(plan.block(1), "ValueError: a <b>defect</b>")
    store = Store(str(url))
    assert store.cell_counts() == {"done": 0, "diverged": 0, "failed": 2, "pending": 22}
    assert 1 not in store.blocks_with(PENDING)
    assert store.failures(10) == {"1": "ValueError: a <b>defect</b>"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(url, engine="zarr").load()
    reasons = tree["failures"]["training"]
    assert ((reasons != "") == (tree["training"]["status"] == 3)).all()
    files = list((url / "failures" / "training" / "c").rglob("*"))
    assert len([file for file in files if file.is_file()]) == 1


def test_a_crash_in_creation_leaves_nothing(
    write_config: Write, url: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is there whole or not at all, and no partial folder stays."""

    def broken(*_: object) -> None:
        raise RuntimeError("died")

    monkeypatch.setattr(objects, "move_into_place", broken)
    path = write_config()
    with pytest.raises(RuntimeError):
        create(path, url)
    assert sorted(tmp_path.iterdir()) == [path]


def test_another_config_is_refused_with_the_keys_that_differ(write_config: Write, url: Path) -> None:
    """Resuming under another config says which keys differ; the same config passes."""
    sweep, _ = create(write_config(), url)
    store = Store(str(url))
    assert growth.merge(sweep, store, "") == sweep
    for setting, told in {
        "training.steps=99": r"training\.steps: 99, there 20",
        "grid.corrupted_fraction=[0.0, 0.5]": r"grid\.corrupted_fraction",
        "initialization.draws=1500": "draws: 1500, there 2000",
    }.items():
        with pytest.raises(InputError, match=told):
            growth.merge(sweep_config.load(write_config("other.yaml"), [setting]), store, "")
    with pytest.raises(InputError, match="the file has changed"):
        growth.merge(sweep, store, "0123")


@pytest.mark.parametrize("setting", ["grid.width=[8]", "grid.seed=2", "grid.learning_rate=[1.0]"])
def test_a_grid_inside_the_stored_one_leaves_nothing_to_do(
    setting: str, write_config: Write, url: Path
) -> None:
    """Fewer values along an axis are no other sweep: the store's own grid stays, and does not grow."""
    whole, _ = create(write_config(), url)
    store = Store(str(url))
    merged = growth.merge(sweep_config.load(write_config(), [setting]), store, "")
    assert merged.config == whole.config
    assert not growth.is_needed(merged, store)


def test_values_inside_and_outside_the_stored_grid_grow_it(write_config: Write, url: Path) -> None:
    """A grid that lacks a stored value and has a new one: the store keeps the one and takes the other."""
    create(write_config(), url)
    store = Store(str(url))
    merged = growth.merge(sweep_config.load(write_config(), ["grid.width=[12, 16]"]), store, "")
    assert merged.config.grid.width == (8, 12, 16)
    assert growth.is_needed(merged, store)


def test_a_place_that_is_taken_is_refused(write_config: Write, tmp_path: Path) -> None:
    """A folder with something else in it is never touched; an empty one is used."""
    taken = tmp_path / "taken"
    taken.mkdir()
    create(write_config(), taken)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("words")
    with pytest.raises(InputError, match="something else"):
        create(write_config(), other)
    assert [file.name for file in other.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["missing", "empty", "other", "broken"])
def test_what_is_no_store_is_explained(name: str, tmp_path: Path) -> None:
    """Status of a wrong path is an input error, never a traceback."""
    place = tmp_path / name
    if name != "missing":
        place.mkdir()
    if name == "other":
        zarr.open_group(place, mode="w")
    if name == "broken":
        (place / "zarr.json").write_text("{")
    with pytest.raises(InputError):
        status.status(str(place))


def test_a_remote_address_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """s3:// without s3fs names the package; an unknown scheme is refused."""
    import fsspec

    def missing(url: str, **options: bool) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(InputError, match="pip install 's3fs"):
        objects.exists("s3://bucket/sweep.zarr")
    monkeypatch.undo()
    with pytest.raises(InputError, match="nope:// is not known"):
        objects.exists("nope://bucket/sweep.zarr")


def test_the_same_code_writes_to_a_remote_store(write_config: Write) -> None:
    """A store in fsspec's memory file system is made, written and read like a local one."""
    import uuid

    url = f"memory://{uuid.uuid4().hex}/made.zarr"
    sweep = sweep_config.load(write_config())
    data = data_source.load_data(sweep)
    assert data is not None
    plan = data_source.make_plan(sweep, 2, 2)
    template.create(url, plan, prediction.predict(sweep.config, data), data.index, "")
    with claim.take(url) as mine:
        ChunkWriter(mine.permit).write(plan.block(1), results(plan, plan.block(1)))
    store = Store(url)
    assert store.cell_counts()["done"] == 2
    assert 1 not in store.blocks_with(PENDING)
