"""Random networks drawn in parts: any division into tasks gives the same bits, and more draws add to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.execution import driver as runs
from widesweep.pipeline.execution.local_scheduler import LocalScheduler
from widesweep.pipeline.execution.worker import execute
from widesweep.pipeline.plan import blocks as plans
from widesweep.pipeline.store import chunks
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import Store
from widesweep.workers import random_networks
from widesweep.workers.data import Dimensions
from widesweep.workers.networks import FullyConnected
from widesweep.workers.random_networks import InitializationBlock, InitializationConfig, parts
from widesweep.workers.variable import FAILED, PENDING

Write = Callable[..., Path]
TANH = FullyConnected(activation="tanh")
SIZES = {"training": None, "network": {"activation": "tanh"}}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 512 draws, so that a few thousand make several."""
    for name in ("cumulants", "ntk_diagonal"):
        measurement = random_networks.STATISTICS[name]
        monkeypatch.setitem(
            random_networks.STATISTICS, name, _with_parts(measurement, 512 if name == "cumulants" else 1024)
        )


def _with_parts(measurement: object, size: int) -> object:
    from dataclasses import replace

    return replace(measurement, part_draws=lambda case: size)  # type: ignore[type-var]


def block(draws: int, measure: tuple[str, ...] = ("cumulants", "ntk_diagonal")) -> InitializationBlock:
    return InitializationBlock(6, 2, TANH, InitializationConfig(draws=draws, measure=measure), 3)


def test_parts_drawn_apart_and_out_of_order_give_the_same_bits() -> None:
    """One task with all parts, and four tasks in another order: equal to the last bit."""
    task = block(2100)
    whole = random_networks.run(task)
    pieces = [random_networks.sample(task, numbers) for numbers in ([4], [2, 0], [3], [1])]
    joined = random_networks.finish(task, xr.concat(pieces, "part"))
    xr.testing.assert_identical(whole, joined)


def test_more_draws_keep_full_parts() -> None:
    """2100 draws are four full parts of 512 and a rest: with 4000 the first four keep their sums."""
    few = random_networks.sample(block(2100, ("cumulants",)), range(5)).cumulants_sums
    many = random_networks.sample(block(4000, ("cumulants",)), range(8)).cumulants_sums
    np.testing.assert_array_equal(few[:4], many[:4])
    assert (few[4] != many[4]).any()
    assert float(many[..., 0].sum()) == 4000.0


@pytest.mark.parametrize(("draws", "part"), [(1000, 512), (1024, 512), (130, 4096)])
def test_the_sizes_of_groups_add_up(draws: int, part: int) -> None:
    """Every draw lies in one group of one part, and groups of a part differ by at most one."""
    sizes = np.array([parts.sizes(draws, part, i) for i in range(parts.count(draws, part) + 1)])
    assert sizes.sum() == draws
    assert (np.ptp(sizes, axis=1) <= 1).all()
    assert sizes[-1].sum() == 0


def test_pooling_adds_without_loss_of_digits() -> None:
    """Sums of very different size in any order: the exactly rounded result, where plain addition loses it."""
    sums = np.zeros((3, 64, 1))
    sums[:, 0, 0] = [1e16, 1.0, -1e16]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        means, _ = parts.pooled(sums[order], 3 * 64, 64)
        assert means[0, 0] == 1.0 / 3.0


def test_blocks_of_parts_cover_each_pair_once(write_config: Write) -> None:
    """Every part of every (width, depth) lies in one block; their costs add up to the sweep's."""
    sweep = configs.load(write_config(initialization={"draws": 5000, "measure": ["cumulants"]}, **SIZES))
    for length in (1, 3, 10):
        made = plans.make(sweep.config, Dimensions(1, 1), 2, parts_per_block=length)
        seen = [
            (b.width, b.depth, part)
            for b in map(made.block, range(len(made)))
            for part in b.indices("part").tolist()
        ]
        assert sorted(seen) == [(w, d, p) for w in range(2) for d in range(2) for p in range(10)]
        assert made.block_seconds().sum() == pytest.approx(made.total_s)


def stored(url: Path) -> xr.Dataset:
    return xr.open_datatree(url, engine="zarr")["initialization"].to_dataset().load()


@pytest.mark.usefixtures("in_process")
def test_a_sweep_whose_draws_grow_has_the_bits_of_one_that_had_them_all(
    write_config: Write, tmp_path: Path
) -> None:
    """1300, then 3000 draws: just the parts that lack draws are computed, and the result is that of 3000."""
    few = write_config("few.yaml", initialization={"draws": 1300}, **SIZES)
    many = write_config("many.yaml", initialization={"draws": 3000}, **SIZES)
    grown, whole = tmp_path / "grown.zarr", tmp_path / "whole.zarr"
    runs.run(configs.load(few), str(grown))
    before = xr.open_datatree(grown, engine="zarr")["parts"].cumulants_sums.load()
    runs.run(configs.load(many), str(whole))
    runs.run(configs.load(many), str(grown))
    xr.testing.assert_identical(stored(whole), stored(grown))
    after = xr.open_datatree(grown, engine="zarr")["parts"].cumulants_sums.load()
    np.testing.assert_array_equal(before[:, :, :2], after[:, :, :2])
    assert Store(str(grown)).unpooled_pairs() == []


@pytest.mark.usefixtures("in_process")
def test_a_driver_that_died_before_pooling_is_made_good(write_config: Write, tmp_path: Path) -> None:
    """All parts stored, the pair pending: the next run pools it, and computes nothing."""
    path = write_config(initialization={"draws": 1300}, **SIZES)
    url = tmp_path / "a.zarr"
    runs.run(configs.load(path), str(url))
    wanted = stored(url)
    for file in (url / "initialization" / "status" / "c").rglob("*"):
        if file.is_file():
            file.unlink()
    assert len(Store(str(url)).unpooled_pairs()) == 4
    assert len(Store(str(url)).blocks_with(PENDING)) == 0
    runs.run(configs.load(path), str(url))
    xr.testing.assert_identical(stored(url), wanted)


@pytest.mark.usefixtures("in_process")
def test_a_failed_part_fails_its_pair_until_it_is_retried(
    write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block fails: its pair says so with the reason, the others are done; a retry makes it good."""
    path = write_config(initialization={"draws": 1300}, **SIZES)
    url = tmp_path / "a.zarr"

    def run(scheduler: object, sweep: object, blocks: object, listener: object, stop: object) -> None:
        for each in blocks:  # type: ignore[attr-defined]
            if each.width == each.depth == 0 and each.region["part"].start == 0:
                listener.failed(each, "it was meant to")  # type: ignore[attr-defined]
            else:
                listener.finished(each, execute(sweep, each))  # type: ignore[arg-type, attr-defined]

    with monkeypatch.context() as patched:
        patched.setattr(LocalScheduler, "run", run)
        runs.run(configs.load(path), str(url))
    store = Store(str(url))
    assert store.cell_counts() == {"done": 3, "diverged": 0, "failed": 1, "pending": 0}
    assert "it was meant to" in store.failures(10).values()
    assert int(stored(url).status[0, 0]) == FAILED
    runs.run(configs.load(path), str(url), retry_failed=True)
    assert (stored(url).status == 1).all()
    reasons = xr.open_datatree(url, engine="zarr")["failures"]["parts"]
    assert not any(reasons.values.ravel())


def test_the_writer_takes_parts_of_its_own_chunk_alone(write_config: Write, tmp_path: Path) -> None:
    """A block that asks for half a chunk of parts is a defect, and is told so."""
    from dataclasses import replace

    from widesweep.pipeline.predict import prediction
    from widesweep.pipeline.store import template

    path = write_config(initialization={"draws": 2000}, **SIZES)
    sweep = configs.load(path)
    made = plans.make(sweep.config, Dimensions(1, 1), 2, parts_per_block=2)
    url = str(tmp_path / "a.zarr")
    template.create(url, made, prediction.predict(sweep.config, None), np.empty(0, dtype=np.int64), "")
    whole = made.block(0)
    part = replace(whole, region={**whole.region, "part": slice(0, 1)})
    task = InitializationBlock(8, 1, sweep.config.network, sweep.config.initialization, 0)  # type: ignore[arg-type]
    with pytest.raises(chunks.OwnershipError, match="asks for part"):
        chunks.ChunkWriter(Permit(url, 0, "")).write(part, random_networks.sample(task, [0]))
