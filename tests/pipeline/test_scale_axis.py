"""`network.output_scale` as a list: one more axis of the grid, in the store, in growth and in repair."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL, compute_here, count_trained, measured_bytes
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.execution.local_scheduler import LocalScheduler
from widesweep.pipeline.plan import data
from widesweep.pipeline.store import objects
from widesweep.pipeline.store.reader import Store

Write = Callable[..., Path]
SCALES = (1.0, 4.0, 0.5)
SECTIONS: dict[str, Any] = {
    "network": {"kind": "fully_connected", "centered": True},
    "grid": {"width": [8], "depth": [1, 2], "seed": 3, "learning_rate": [0.5, 1.0]},
    "initialization": None,
}


def run_to(path: Path, url: Path, *settings: str, **options: bool) -> Store:
    return run(sweep_config.load(path, settings), str(url), **options)


def scaled(values: tuple[float, ...] | float) -> str:
    return f"network.output_scale={list(values) if isinstance(values, tuple) else values}"


@pytest.fixture
def small(write_config: Write) -> Path:
    """Twelve cells for each α."""
    return write_config(**SECTIONS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A finished store of it at all SCALES, never changed, and how many cells were trained."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(yaml.safe_dump({**SMALL, **SECTIONS, "store": "a.zarr"}))
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        cells = count_trained(patch)
        run_to(folder / "small.yaml", folder / "a.zarr", scaled(SCALES))
    assert len(set(cells)) == len(cells)
    return folder / "a.zarr", len(cells)


@pytest.fixture
def copied(whole: tuple[Path, int], tmp_path: Path) -> Path:
    """A copy of it, which is the store of `small`."""
    return shutil.copytree(whole[0], tmp_path / "a.zarr")


def test_each_scale_holds_the_numbers_of_a_sweep_of_its_own(
    small: Path, whole: tuple[Path, int], tmp_path: Path, in_process: None
) -> None:
    """Measured values, η and theory at α equal, bit for bit, those of the sweep whose one α it is."""
    url, trained = whole
    assert Store(str(url)).cell_counts() == {"done": 36, "diverged": 0, "failed": 0, "pending": 0}
    assert trained == 36
    tree = analysis.open_sweep(url)
    assert tree["training"]["loss"].dims[:4] == ("width", "depth", "output_scale", "seed")
    for alpha in SCALES:
        one = tmp_path / f"{alpha}.zarr"
        run_to(small, one, scaled(alpha))
        own = analysis.open_sweep(one)
        for group in ("training", "theory"):
            here = tree[group].to_dataset().sel(output_scale=alpha, drop=True)
            assert "output_scale" not in own[group].dims
            xr.testing.assert_equal(here, own[group].to_dataset())


def test_cells_of_a_seed_start_from_the_same_weights_at_every_scale(whole: tuple[Path, int]) -> None:
    """The tangent kernel at step 0 is α² times that at α = 1, and η falls like 1/α²."""
    group = xr.open_datatree(whole[0], engine="zarr")["training"].ds
    kernel, alpha = group["ntk_max_eigenvalue"].isel(step=0), group["output_scale"]
    np.testing.assert_allclose(
        (kernel / alpha**2).values, kernel.sel(output_scale=[1.0] * 3).values, rtol=1e-14
    )
    eta = group["learning_rate_absolute"]
    np.testing.assert_allclose(
        (eta * alpha**2).values, np.broadcast_to(eta.sel(output_scale=[1.0]).values, eta.shape), rtol=1e-14
    )


def test_a_scalar_keeps_the_store_and_the_hash_that_it_had(small: Path) -> None:
    """Without a list nothing knows of the axis; with a list of one value it is there, one long."""
    plain, scalar = (
        sweep_config.load(small).config,
        sweep_config.load(small, ["network.output_scale=1"]).config,
    )
    assert plain.hash == scalar.hash
    assert plain.points == [()]
    listed = sweep_config.load(small, ["network.output_scale=[1]"]).config
    assert listed.hash != plain.hash
    assert listed.cells == plain.cells == 12


def test_new_scales_compute_their_own_cells_and_touch_no_old_byte(
    small: Path, copied: Path, tmp_path: Path, trained: list[Any]
) -> None:
    """Grown by two values, one of them first: old chunks keep their bytes; a large sweep agrees."""
    url, grown = copied, (0.25, 1.0, 2.0, 4.0, 0.5)
    before = {v for k, v in measured_bytes(url).items() if k.startswith("training/loss/c")}
    trained.clear()
    store = run_to(small, url, scaled(grown))
    assert {cell[4] for cell in trained} == {0.25, 2.0}
    assert len(trained) == len(set(trained)) == 24
    assert store.cell_counts()["done"] == 60
    assert before
    assert before <= {v for k, v in measured_bytes(url).items() if k.startswith("training/loss/c")}
    run_to(small, tmp_path / "fresh.zarr", scaled(grown))
    one, other = (xr.open_datatree(tmp_path / name, engine="zarr") for name in ("a.zarr", "fresh.zarr"))
    for group in ("training", "theory"):
        xr.testing.assert_identical(one[group].to_dataset(), other[group].to_dataset())
    trained.clear()
    run_to(small, url, scaled(grown))
    assert not trained


@pytest.mark.parametrize(("first", "second"), [(1.0, (1.0, 2.0)), ((1.0, 2.0), 1.0)])
def test_a_scale_does_not_become_an_axis_nor_an_axis_a_scale(
    first: Any, second: Any, small: Path, tmp_path: Path, trained: list[Any]
) -> None:
    """A number and a list are different sweeps: the message names the key."""
    run_to(small, tmp_path / "a.zarr", scaled(first))
    before = measured_bytes(tmp_path / "a.zarr")
    with pytest.raises(InputError, match=r"network\.output_scale: "):
        run_to(small, tmp_path / "a.zarr", scaled(second))
    assert measured_bytes(tmp_path / "a.zarr") == before


@pytest.mark.parametrize(
    "key", ["training/loss/c/0/1/0/0/0/0", "training/status/c/0/1/0/0/0", "training/output_scale/c/0"]
)
def test_a_damaged_chunk_of_one_scale_is_computed_again_alone(
    key: str, small: Path, copied: Path, trained: list[Any]
) -> None:
    """One flipped bit at α = ½: --repair computes that block's six cells, or none for a coordinate."""
    url = copied
    before = measured_bytes(url)
    content = bytearray((url / key).read_bytes())
    content[len(content) // 2] ^= 1
    objects.put(str(url), {key: bytes(content)})
    run_to(small, url, scaled(SCALES), repair=True)
    assert {(cell[1], cell[4]) for cell in trained} == (set() if "output_scale" in key else {(2, 0.5)})
    assert len(trained) == (0 if "output_scale" in key else 6)
    after = measured_bytes(url)
    chunks = [name for name in before if not name.endswith("zarr.json")]
    assert {name: after[name] for name in chunks} == {name: before[name] for name in chunks}


def test_a_failed_block_of_one_scale_is_told_and_tried_again(
    small: Path,
    whole: tuple[Path, int],
    tmp_path: Path,
    trained: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its cells alone are failed with the reason, and --retry-failed ends in the bits of a calm run."""
    url, inline = tmp_path / "a.zarr", LocalScheduler.run

    def faulty(cluster: Any, sweep: Any, blocks: Any, listener: Any, stop: Any) -> None:
        for block in blocks:
            if (block.depth, block.region["output_scale"].start) == (0, 2):
                listener.failed(block, "ZeroDivisionError: a defect")
            else:
                inline(cluster, sweep, [block], listener, stop)

    with monkeypatch.context() as patch:
        patch.setattr(LocalScheduler, "run", faulty)
        store = run_to(small, url, scaled(SCALES))
    assert store.cell_counts() == {"done": 30, "diverged": 0, "failed": 6, "pending": 0}
    assert store.failures(1) == {"2": "ZeroDivisionError: a defect"}
    failed = xr.open_datatree(url, engine="zarr")["failures"]["training"] != ""
    assert bool(failed.sel(output_scale=4.0, depth=1).all())
    assert int(failed.sum()) == 6
    trained.clear()
    assert run_to(small, url, scaled(SCALES), retry_failed=True).cell_counts()["done"] == 36
    assert {(cell[1], cell[4]) for cell in trained} == {(1, 4.0)}
    assert measured_bytes(url) == measured_bytes(whole[0])


def test_theory_names_each_scale_below_the_depth(small: Path) -> None:
    """λ grows like α², η falls like 1/α², and the rate per step and the steps are the same at every α."""
    result = CliRunner().invoke(app, ["theory", str(small), "--json", "--set", scaled(SCALES)])
    found = json.loads(result.stdout)
    assert found["output_scale"] == ["0.5", "1", "4"]
    for depth in ("1", "2"):
        largest = found["lambda_max"][depth]
        assert largest["4"] == pytest.approx(16 * largest["1"], rel=1e-12)
        eta = found["learning_rate_absolute"]["8"][depth]
        assert eta["4"]["0.5"] == pytest.approx(eta["1"]["0.5"] / 16, rel=1e-12)
        assert found["rate_predicted"][depth]["4"] == pytest.approx(found["rate_predicted"][depth]["0.5"])
        assert found["steps_predicted"][depth]["4"] == found["steps_predicted"][depth]["1"]
    text = CliRunner().invoke(app, ["theory", str(small), "--set", scaled(SCALES)]).stdout
    assert len([line for line in text.splitlines() if line.startswith(("1 ", "2 "))]) == 6


@pytest.mark.parametrize("seeds_per_block", [1, 2, 3])
def test_blocks_partition_the_grid_with_one_scale_each(small: Path, seeds_per_block: int) -> None:
    """Every cell lies in one block, the costs of the blocks are those of the plan, and add up."""
    sweep = sweep_config.load(small, [scaled(SCALES), "grid.width=[8, 12]"])
    made = data.make_plan(sweep, 2, seeds_per_block, 1)
    blocks = [made.block(i) for i in range(len(made))]
    cells = [
        (b.width, b.depth, b.region["output_scale"].start, s, r)
        for b in blocks
        for s in b.indices("seed").tolist()
        for r in b.indices("learning_rate").tolist()
    ]
    assert sorted(cells) == list(itertools.product(range(2), range(2), range(3), range(3), range(2)))
    assert made.block_seconds() == pytest.approx([b.cost_s for b in blocks])
    assert sum(b.cost_s for b in blocks) == pytest.approx(made.total_s)


def test_the_forecast_counts_every_scale(small: Path) -> None:
    """Three values of α: three times the cells and operations of one."""
    one, three = (
        json.loads(CliRunner().invoke(app, ["plan", str(small), "--json", "--set", scaled(each)]).stdout)
        for each in (2.0, SCALES)
    )
    for name in ("cells", "blocks", "flops", "stored_bytes"):
        assert three[name] == pytest.approx(3 * one[name])


WRONG = {
    "a duplicate": ("[1, 2, 2.0]", "2.0 is there twice"),
    "zero": ("[1, 0]", "0 is not an output scale"),
    "a negative one": ("-1", "-1 is not an output scale"),
    "NaN": ("[1, .nan]", "nan is not a finite number"),
    "an empty list": ("[]", "an empty list is not an output scale"),
    "text": ("[1, '2']", "the text '2' is not an output scale"),
}


@pytest.mark.parametrize(("value", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_scale_is_told_in_one_message(value: str, told: str, small: Path, tmp_path: Path) -> None:
    """Exit 2, one line, and no store."""
    result = CliRunner().invoke(app, ["run", str(small), "--set", f"network.output_scale={value}"])
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [small]


def test_random_networks_alone_take_no_axis_of_scales(write_config: Write) -> None:
    """Cumulants are measured in units of K, which α² multiplies: a list would mean nothing."""
    path = write_config(training=None, data=None, grid={"width": [8], "depth": [1]})
    with pytest.raises(InputError, match="it is a list and nothing trains"):
        sweep_config.load(path, [scaled(SCALES)])
