"""A store as files of other formats: one NetCDF file of all groups, or tables as CSV or Parquet.

A table holds the variables of one group that have the same dimensions, one row for each of their points.
It is written a width and a depth at a time, so that memory does not grow with the sweep.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from widesweep.analysis.reading.sweep import open_sweep

if TYPE_CHECKING:
    import pandas as pd

NOT_IN_TABLES = ("parts",)  # sums over draws, from which /initialization is computed


def netcdf(url: str, output: Path | None = None) -> list[Path]:
    """Writes the whole hierarchy, group by group, as one NetCDF-4 file.

    Args:
        url: the sweep's store.
        output: the file; default: beside the store.

    Returns:
        The file.

    Raises:
        NotASweep: there is no store.
        ModuleNotFoundError: h5netcdf or h5py is not installed.
    """
    import h5netcdf  # noqa: F401  (both told before the store is read)
    import h5py  # noqa: F401

    target = output or beside(url, ".nc")
    tree = open_sweep(url).map_over_datasets(xr.Dataset.drop_encoding)
    with whole(target) as file:
        tree.to_netcdf(file, engine="h5netcdf")
    return [target]


def csv(url: str, output: Path | None = None) -> list[Path]:
    """Writes each table as a CSV file.

    Args:
        url: the sweep's store.
        output: folder; default: beside the store.

    Returns:
        The files.

    Raises:
        NotASweep: there is no store.
    """
    return _write_tables(url, output or beside(url, "-csv"), ".csv", _write_csv)


def parquet(url: str, output: Path | None = None) -> list[Path]:
    """Writes each table as a Parquet file.

    Args:
        url: the sweep's store.
        output: folder; default: beside the store.

    Returns:
        The files.

    Raises:
        NotASweep: there is no store.
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow  # noqa: F401

    return _write_tables(url, output or beside(url, "-parquet"), ".parquet", _write_parquet)


FORMATS: Mapping[str, Callable[[str, Path | None], list[Path]]] = {
    "csv": csv,
    "netcdf": netcdf,
    "parquet": parquet,
}


def beside(url: str, ending: str) -> Path:
    """A place beside the store; in the working folder for a store at an address.

    >>> beside("results/demo.zarr", ".nc").as_posix(), beside("s3://bucket/demo.zarr", "-csv").as_posix()
    ('results/demo.nc', 'demo-csv')
    """
    url = url.removeprefix("file://")
    path = Path(url.rstrip("/").rpartition("/")[2]) if "://" in url else Path(url)
    return path.with_name(path.name.removesuffix(".zarr") + ending)


def tables(group: xr.Dataset, name: str) -> dict[str, xr.Dataset]:
    """The tables of a group by the names of their files: the group, and the dimensions that not all have.

    >>> group = xr.Dataset({"status": (("seed",), [1]), "loss": (("seed", "step"), [[0.5, 0.1]])})
    >>> {name: list(table) for name, table in tables(group, "training").items()}
    {'training': ['status'], 'training_step': ['loss']}
    """
    by_dims: dict[tuple[str, ...], list[str]] = {}
    for variable, array in group.data_vars.items():
        by_dims.setdefault(tuple(map(str, array.dims)), []).append(str(variable))
    common = set.intersection(*map(set, by_dims)) if by_dims else set()
    return {
        "_".join([name, *(dim for dim in dims if dim not in common)]): group[names]
        for dims, names in by_dims.items()
    }


def _write_tables(
    url: str, folder: Path, ending: str, write: Callable[[Iterable[pd.DataFrame], Path], None]
) -> list[Path]:
    tree, files = open_sweep(url), []
    folder.mkdir(parents=True, exist_ok=True)
    for group, node in tree.children.items():
        if group not in NOT_IN_TABLES:
            for name, table in tables(node.to_dataset(), group).items():
                target = folder / f"{name}{ending}"
                with whole(target) as file:
                    write(_frames(table), file)
                files.append(target)
    return files


def _frames(table: xr.Dataset) -> Iterator[pd.DataFrame]:
    """A data frame for each width and depth, its dimensions as columns."""
    axes = [dim for dim in ("width", "depth") if dim in table.dims]
    for place in itertools.product(*(range(table.sizes[axis]) for axis in axes)):
        part = table.isel({axis: [index] for axis, index in zip(axes, place, strict=True)})
        yield part.load().to_dataframe(dim_order=[str(dim) for dim in table.dims]).reset_index()


def _write_csv(frames: Iterable[pd.DataFrame], file: Path) -> None:
    for number, frame in enumerate(frames):
        frame.to_csv(file, mode="a", header=number == 0, index=False)


def _write_parquet(frames: Iterable[pd.DataFrame], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for frame in frames:
        table = pa.Table.from_pandas(frame, schema=writer and writer.schema, preserve_index=False)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A file beside the target that takes its place, in one step, once it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
