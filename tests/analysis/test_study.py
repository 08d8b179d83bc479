"""An analysis reads a store, writes its groups back, and says what is wrong in one message."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from tests.analysis.synthetic import SyntheticSweep, write
from widesweep.analysis import AnalysisError, NoScheduler, NotASweep, analyze, open_sweep, table

SMALL = SyntheticSweep(depths=(1,), seeds=3, rates=(1.0,), modes=3)


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store and what its analysis returned."""
    states = {(0, 0, 0, 1): 2, (1, 0, 1, 0): 3, (3, 1, 5, 0): 0}
    path = write(tmp_path_factory.mktemp("sweep") / "demo.zarr", SyntheticSweep(states=states))
    return path, analyze(path)


@pytest.fixture
def store(analyzed: tuple[Path, dict[str, Any]]) -> Path:
    return analyzed[0]


@pytest.fixture
def found(analyzed: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return analyzed[1]


def test_a_store_opens_lazily(store: Path) -> None:
    """Arrays over cells are dask arrays until they are asked for."""
    tree = open_sweep(store)
    assert tree["training"]["loss"].chunks is not None
    assert tree["training"]["loss"].dims == ("width", "depth", "seed", "learning_rate", "step")


def test_the_object_of_the_contract_comes_back(found: dict[str, Any]) -> None:
    """Names, keys and cell counts are the contract's, and it is JSON."""
    result = json.loads(json.dumps(found, allow_nan=False))
    assert result["cells"] == {"done": 93, "diverged": 1, "failed": 1, "pending": 1}
    keys = {"slope", "slope_low", "slope_high", "expected", "r_squared", "points", "verdict", "note"}
    assert all(keys <= law.keys() for law in result["laws"].values())


def test_fits_and_laws_are_in_the_store(store: Path) -> None:
    """Plain xarray reads both groups; every variable says what it is; flags say why a rate is missing."""
    tree = xr.open_datatree(store, engine="zarr")
    fits, laws = tree["fits"], tree["laws"]
    for group in (fits, laws):
        assert all({"long_name", "units"} <= v.attrs.keys() for v in group.data_vars.values())
    assert str(laws["verdict"].sel(law="weight_drift").item()) == "consistent"
    assert fits["rate"].dims == ("width", "depth", "seed", "learning_rate")
    meanings = dict(
        zip(
            fits["rate_flag"].attrs["flag_values"],
            fits["rate_flag"].attrs["flag_meanings"].split(),
            strict=True,
        )
    )
    assert meanings[int(fits["rate_flag"][0, 0, 0, 1])] == "diverged"
    assert meanings[int(fits["rate_flag"][3, 1, 5, 0])] == "not_done"
    assert np.isnan(fits["rate"][0, 0, 0, 1])


def test_fitted_rates_agree_with_the_networks_own_kernels(store: Path) -> None:
    """Median within 5 %, as the late window promises."""
    fits = xr.open_datatree(store, engine="zarr")["fits"]
    ratio = (fits["rate"] / fits["rate_own_kernel"]).values
    assert abs(np.nanmedian(ratio) - 1) < 0.05


def test_consolidated_metadata_know_the_new_groups(store: Path) -> None:
    """A finished sweep stays a store of one metadata file, laws included."""
    consolidated = zarr.open_group(str(store), mode="r").metadata.consolidated_metadata
    assert consolidated is not None
    assert {"fits", "laws"} <= set(consolidated.metadata)


def test_a_running_sweep_stays_unconsolidated(tmp_path: Path) -> None:
    """An analysis in mid-run leaves consolidation to the driver."""
    path = write(tmp_path / "running.zarr", SMALL, consolidated=False)
    analyze(path)
    assert zarr.open_group(str(path), mode="r").metadata.consolidated_metadata is None
    laws = xr.open_zarr(path, group="laws", consolidated=False)
    assert "weight_drift" in laws["law"].values


def test_two_analyses_are_bit_identical_and_replace_each_other(tmp_path: Path) -> None:
    """The second analysis writes what the first wrote."""
    path = write(tmp_path / "twice.zarr", SMALL)
    first, laws = analyze(path), xr.open_zarr(path, group="laws").load()
    second = analyze(path)
    assert first == second
    xr.testing.assert_identical(laws, xr.open_zarr(path, group="laws").load())


def test_a_sweep_of_random_networks_alone_is_analysed(tmp_path: Path) -> None:
    """No /training: cumulants only, and cells are (width, depth) pairs."""
    result = analyze(write(tmp_path / "init.zarr", SyntheticSweep(training=False)))
    assert set(result["laws"]) == {"cumulant_4", "cumulant_6"}
    assert result["cells"]["done"] == 8


def test_a_store_without_a_finished_cell_does_not_crash(tmp_path: Path) -> None:
    """Laws come out inconclusive, numbers as null."""
    states = dict.fromkeys(np.ndindex(4, 1, 3, 1), 0)
    path = write(tmp_path / "empty.zarr", SyntheticSweep(depths=(1,), seeds=3, rates=(1.0,), states=states))
    law = analyze(path)["laws"]["weight_drift"]
    assert law["verdict"] == "inconclusive"
    assert law["slope"] is None


@pytest.mark.parametrize("case", ["missing", "file", "no_store", "other_zarr", "old_schema", "bad_config"])
def test_what_is_no_sweep_is_one_message(tmp_path: Path, case: str) -> None:
    """Each wrong address raises NotASweep with its address and a reason, in at most five lines."""
    path = tmp_path / "thing.zarr"
    if case == "file":
        path.write_text("not a store")
    elif case == "no_store":
        path.mkdir()
    elif case == "other_zarr":
        zarr.open_group(str(path), mode="w", zarr_format=3)
    elif case == "old_schema":
        zarr.open_group(str(path), mode="w", zarr_format=3, attributes={"config": "{}", "schema_version": 99})
    elif case == "bad_config":
        zarr.open_group(str(path), mode="w", zarr_format=3, attributes={"config": "{", "schema_version": 2})
    with pytest.raises(NotASweep) as caught:
        analyze(path)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).count("\n") < 5
    assert "thing.zarr" in str(caught.value)


def test_a_scheduler_that_does_not_answer_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address without a scheduler behind it."""
    monkeypatch.setattr("widesweep.analysis.cluster.SCHEDULER_TIMEOUT", "300ms")
    path = write(tmp_path / "s.zarr", SMALL)
    with pytest.raises(NoScheduler, match="no Dask scheduler answers"):
        analyze(path, scheduler="tcp://127.0.0.1:9")
    assert issubclass(NoScheduler, AnalysisError)


def test_what_listens_and_is_no_scheduler_is_one_message(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server waits for its client to speak: Dask would wait for it for ever."""
    monkeypatch.setattr("widesweep.analysis.cluster.CONNECT_S", 0.2)
    told = pytest.raises(NoScheduler, match="no Dask scheduler answers")
    with socket.create_server(("127.0.0.1", 0)) as silent, told:
        analyze(store, scheduler=f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def test_the_table_shows_every_law(found: dict[str, Any]) -> None:
    """One line a law, notes after it."""
    laws = found["laws"]
    text = table(laws)
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in laws)
    assert "None" not in text
    assert "nan" not in text


def test_analysis_needs_neither_torch_nor_ray_nor_our_other_rooms() -> None:
    """The store is all that passes between measuring and analysing."""
    code = (
        "import sys, widesweep.analysis\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import widesweep.analysis.report.page\n"
        "rooms = {'torch', 'ray', 'widesweep.workers', 'widesweep.pipeline', 'pydantic'}\n"
        "print(sorted(rooms & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_store_at_a_url_is_analysed_like_a_folder(store: Path, found: dict[str, Any]) -> None:
    """An address that fsspec knows gives the numbers that the folder gives."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(store), "/copy.zarr", recursive=True)
    assert analyze("memory://copy.zarr") == found
    memory.rm("/copy.zarr", recursive=True)


def test_a_scheduler_of_its_own_changes_no_bit(store: Path, found: dict[str, Any]) -> None:
    """Through a real Dask scheduler on TCP the result is that of threads."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:  # fmt: skip
        assert analyze(store, scheduler=cluster.scheduler_address) == found
