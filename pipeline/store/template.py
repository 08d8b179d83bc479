"""A new store: every group, coordinate and prediction at once, or nothing."""

from __future__ import annotations

import datetime
import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from zarr.abc.buffer import Buffer
from zarr.errors import ZarrUserWarning
from zarr.storage import MemoryStore

from widesweep.pipeline.config.plug_ins import PlugIn
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan.blocks import Plan
from widesweep.pipeline.predict.prediction import Prediction
from widesweep.pipeline.store import inventory, objects, provenance, schema
from widesweep.pipeline.store.encoding import COMPRESSORS, SERIALIZER


def create(
    url: str,
    plan: Plan,
    prediction: Prediction,
    index: np.ndarray,
    data_hash: str,
    plug_ins: Sequence[PlugIn] = (),
) -> None:
    """Builds the whole template in memory and puts it in its place in one step.

    Args:
        url: where the store will be; nothing may be there yet but an empty folder.
        plan: the sweep and its chunks.
        prediction: what /theory holds.
        index: rows of the source that the training points are.
        data_hash: of the data's files; empty where the config defines the data.
        plug_ins: what the config names that is not built in.

    Raises:
        InputError: the place is taken or cannot be written.
    """
    if not objects.is_free(url):
        wanted = "a new store needs a path where nothing is"
        raise InputError(url, "something else than a sweep's store is there", wanted)
    files: dict[str, Buffer] = {}
    built, attributes = MemoryStore(files), _root_attributes(plan, data_hash, plug_ins)
    root = zarr.open_group(built, mode="w", zarr_format=3, attributes=attributes)
    groups = schema.groups(plan, prediction, index)
    for name, group in groups.items():
        write_group(root, name, group)
    consolidate(built)
    whole = {key: content.to_bytes() for key, content in files.items()}
    try:
        objects.put_hierarchy(
            url, {**whole, inventory.PLACE: inventory.of_files(whole, schema.paths(groups))}
        )
    except OSError as error:
        reason = f"it cannot be written ({error.strerror or error})"
        raise InputError(url, reason, "a store needs a place to write") from None


def consolidate(store: Any) -> None:
    """Gathers the metadata of the hierarchy, and of each group by itself, so that one read opens them.

    Args:
        store: what zarr opens, such as `Permit.zarr_store` gives.
    """
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    with (
        warnings.catch_warnings()
    ):  # Zarr says that others may not read it; they fall back to the arrays' own
        warnings.simplefilter("ignore", ZarrUserWarning)
        for name in sorted(root.group_keys()):
            zarr.consolidate_metadata(store, path=name)
        zarr.consolidate_metadata(store)


def write_group(root: zarr.Group, name: str, group: schema.Group) -> None:
    """Makes one group with its arrays, and writes the values that are known."""
    target = root.create_group(name, attributes=group.attributes)
    for array in group.arrays:
        variable = array.variable
        created = target.create_array(
            variable.name,
            shape=array.shape,
            chunks=array.chunks,
            dtype=variable.dtype,
            fill_value="" if variable.dtype == "str" else variable.fill_value,
            serializer="auto" if variable.dtype == "str" else SERIALIZER,
            compressors=COMPRESSORS,
            dimension_names=variable.dims,
            attributes=variable.stored_attributes,
        )
        if array.values is not None:
            created[...] = array.values


def _root_attributes(plan: Plan, data_hash: str, plug_ins: Sequence[PlugIn]) -> dict[str, Any]:
    return {
        "config": plan.config.json_text(),
        "config_hash": plan.config.hash,
        "data_hash": data_hash,
        "plug_ins": json.dumps([each.stored() for each in plug_ins]),
        "schema_version": schema.SCHEMA_VERSION,
        **provenance.attributes(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
