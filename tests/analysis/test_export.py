"""What `export` writes holds the store's numbers, in each format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.analysis.synthetic import SyntheticSweep, write
from widesweep.analysis import NotASweep, analyze, export

SMALL = SyntheticSweep(depths=(1, 2), seeds=3, rates=(1.0,), modes=3, records=8, states={(0, 0, 0, 0): 2})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write(tmp_path_factory.mktemp("sweep") / "demo.zarr", SMALL)
    analyze(path)
    return path


def test_netcdf_is_the_store_in_one_file(store: Path) -> None:
    """Every group reads back with the same values, names and attributes."""
    pytest.importorskip("h5netcdf")
    (file,) = export.netcdf(str(store))
    assert file == store.with_name("demo.nc")
    with xr.open_datatree(file, engine="h5netcdf") as found:
        wanted = xr.open_datatree(store, engine="zarr")
        assert set(found.children) == set(wanted.children)
        for name, group in wanted.children.items():
            xr.testing.assert_equal(found[name].to_dataset().load(), group.to_dataset().load())
        assert found.attrs["config"] == wanted.attrs["config"]
        assert found["laws/slope"].attrs["units"] == "1"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_has_a_row_for_each_cell_and_step(store: Path, tmp_path: Path, form: str) -> None:
    """Losses, statuses and laws are the store's, found by their coordinates."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    files = {file.stem: file for file in export.FORMATS[form](str(store), tmp_path / "tables")}
    read = pd.read_csv if form == "csv" else pd.read_parquet
    training = xr.open_datatree(store, engine="zarr")["training"].to_dataset()
    steps = read(files["training_seed_step"])
    axes = ["width", "depth", "seed", "learning_rate", "step"]
    assert list(steps.columns[:5]) == axes
    np.testing.assert_allclose(
        steps.set_index(axes)["loss"].to_xarray(), training.loss, rtol=1e-15, equal_nan=True
    )
    status = read(files["training_seed"]).set_index(axes[:4])["status"]
    assert status.loc[64, 1, 0, 1.0] == 2
    assert set(read(files["laws"])["verdict"]) & {"consistent"}


def test_what_is_no_sweep_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """The message is that of every reader."""
    with pytest.raises(NotASweep, match="nothing is there"):
        export.csv(str(tmp_path / "none.zarr"))
    assert not list(tmp_path.iterdir())
