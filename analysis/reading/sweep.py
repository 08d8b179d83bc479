"""A store opened as an `xarray.DataTree`, or one message that says why it cannot be."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

from widesweep.analysis.errors import NotASweep, first_line
from widesweep.analysis.storing import local_folder

SCHEMA_VERSION = 2
STATUS = ("pending", "done", "diverged", "failed", "not_requested")
CHUNK_BYTES = "16MiB"


def open_sweep(url: str | Path) -> xr.DataTree:
    """Open a sweep's store, lazily: nothing but coordinates is read until it is asked for.

    Zarr format 3 alone is opened: format 2 lets a store name pickle as its codec, which runs code when read.

    Args:
        url: path or address (such as s3://…) of a Zarr v3 store that `widesweep run` made.

    Returns:
        The tree of the contract: /training, /initialization, /theory, /fits, /laws as far as they exist;
        arrays over cells are dask arrays, whole storage chunks together.

    Raises:
        NotASweep: there is nothing there, it is no Zarr store, or it is no sweep of this schema.

    >>> open_sweep("missing.zarr")
    Traceback (most recent call last):
    widesweep.analysis.errors.NotASweep: missing.zarr: nothing is there. Give the path ...
    """
    local = local_folder(url)
    address = str(url if local is None else local)
    if local is not None and not local.exists():
        wanted = "Give the path or address of a store that `widesweep run` made."
        raise NotASweep(f"{address}: nothing is there. {wanted}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = xr.open_datatree(address, engine="zarr", chunks=None, zarr_format=3)
    except Exception as error:
        raise NotASweep(f"{address}: no Zarr store can be read there ({first_line(error)}).") from error
    _check(address, tree)
    with dask.config.set({"array.chunk-size": CHUNK_BYTES}):
        for name in ("training", "initialization", "fits"):
            if name in tree.children:
                tree[name].dataset = _chunked(tree[name].to_dataset())
    return tree


def _chunked(dataset: xr.Dataset) -> xr.Dataset:
    """In Dask's chunks."""
    variables = dataset.data_vars.items()
    return dataset.assign({n: v.reset_coords(drop=True).chunk("auto") for n, v in variables})


def _check(address: str, tree: xr.DataTree) -> None:
    version = tree.attrs.get("schema_version")
    if version is None or "config" not in tree.attrs:
        raise NotASweep(
            f"{address}: a Zarr store, but no sweep: its root has no `config` and `schema_version`."
        )
    if version != SCHEMA_VERSION:
        raise NotASweep(
            f"{address}: its schema version is {version}; this version of widesweep reads {SCHEMA_VERSION}. "
            "Use the version of widesweep that made it (root attribute `code_version`)."
        )
    for group, node in tree.children.items():
        for name, index in node.indexes.items():
            if not index.is_unique or (name in ("width", "depth") and not (index > 0).all()):
                raise NotASweep(f"{address}: the coordinate {group}/{name} is not what was written.")
    try:
        configuration(tree)
    except NotASweep as error:
        raise NotASweep(f"{address}: {error}") from error


def configuration(tree: xr.DataTree) -> dict[str, Any]:
    """The resolved config that the store was made with.

    >>> configuration(xr.DataTree(xr.Dataset(attrs={"config": '{"name": "demo"}'})))
    {'name': 'demo'}
    """
    try:
        config = json.loads(tree.attrs["config"])
    except (TypeError, ValueError) as error:
        raise NotASweep(f"the store's root attribute `config` is no JSON text ({error}).") from error
    if not isinstance(config, dict):
        raise NotASweep("the store's root attribute `config` is no JSON object.")
    return config


def section(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of a config; empty where it has none.

    >>> section({"training": None}, "training")
    {}
    """
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def cell_counts(status: np.ndarray[Any, Any]) -> dict[str, int]:
    """How many cells are done, diverged, failed and pending.

    >>> cell_counts(np.array([0, 1, 1, 2]))
    {'done': 2, 'diverged': 1, 'failed': 0, 'pending': 1}
    """
    return {
        name: int((status == STATUS.index(name)).sum()) for name in ("done", "diverged", "failed", "pending")
    }
