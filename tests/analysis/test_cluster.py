"""The analysis on a real Dask cluster, of a store that no worker could hold."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

from tests.analysis import synthetic
from tests.analysis.dask_cluster import ROOT, cluster
from tests.analysis.synthetic import SyntheticSweep
from widesweep import analysis
from widesweep.analysis import analyze

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MEMORY_BYTES = 400 * 10**6
PARTS = 25
SWEEP = SyntheticSweep(seeds=250, records=72, steps=20000)  # 4,000 cells × 64 records, 25 times


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A store of 100,000 cells, in chunks of a block, grown part by part; away after the test."""
    path = synthetic.write(tmp_path / "large.zarr", SWEEP, consolidated=False)
    for part in range(1, PARTS):
        more = synthetic.training(replace(SWEEP, seed=part)).drop_vars("learning_rate_absolute")
        more = more.assign_coords(seed=more["seed"] + part * SWEEP.seeds).drop_encoding()
        more.to_zarr(path, group="training", append_dim="seed", zarr_format=3, consolidated=False)
    yield path
    shutil.rmtree(path)


def test_a_cluster_gives_the_same_numbers_of_a_store_larger_than_its_workers(
    large: Path, tmp_path: Path
) -> None:
    """100,000 cells × 64 records: the same JSON as threads give, and no worker died of its memory limit."""
    with xr.open_zarr(large, group="training", consolidated=False) as training:
        assert training["step"].size == 64
        assert training.nbytes > 1.5 * MEMORY_BYTES
    with cluster(tmp_path, workers=2, memory=f"{MEMORY_BYTES}B") as address:
        found = analyze(large, address)
    logs = [log.read_text() for log in sorted(tmp_path.glob("worker-*.log"))]
    assert len(logs) == 2
    for log in logs:
        assert len(re.findall("Start worker at", log)) == 1
        assert not re.search("Restarting|exceeded|killed by signal 9", log)
    assert found["cells"]["done"] == 100_000
    assert json.dumps(found) == json.dumps(analyze(large))


@pytest.fixture
def other_checkout(tmp_path: Path) -> Path:
    """A checkout beside this one that can fit nothing."""
    folder = tmp_path / "other"
    for name in ("widesweep", "theory", "workers", "analysis", "pipeline"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    with (folder / "analysis" / "fitting" / "cell_fits.py").open("a") as file:
        file.write("\n\ndef late_rates(*arguments, **options):\n    raise RuntimeError('another checkout')\n")
    return folder


def test_workers_that_stand_in_another_checkout_run_this_one(other_checkout: Path, tmp_path: Path) -> None:
    """The numbers of threads of this process, though the workers' own folder fits nothing."""
    store = synthetic.write(tmp_path / "a.zarr", SyntheticSweep())
    with cluster(tmp_path, workers=1, memory="2GB", checkout=other_checkout) as address:
        found = analyze(store, address)
    assert json.dumps(found) == json.dumps(analyze(store))


def test_a_worker_that_has_imported_another_source_is_refused(other_checkout: Path, tmp_path: Path) -> None:
    """One message with both digests; nothing is written."""
    store = synthetic.write(tmp_path / "a.zarr", SyntheticSweep())
    with (
        cluster(
            tmp_path, workers=1, memory="2GB", checkout=other_checkout, preload=("widesweep.analysis",)
        ) as address,
        pytest.raises(
            analysis.NoScheduler, match=r"a worker on .* source \w{8}, in .*other/widesweep.* rest"
        ),
    ):
        analyze(store, address)
    assert not (store / "laws").exists()
