"""A store's arrays on a larger grid, every axis in ascending order, shown to readers all at once.

An array can name its chunks in two ways, `c/0/1` and `c.0.1`. What changes is staged under the names that are
not in use, where no reader looks; then one object in the store lists the new metadata, and from there on the
growth is completed, whoever completes it. The root's metadata, one object, show the new grid to every reader
at once, and the old chunks are deleted last. Chunks whose cells stay together are copied as they are, on a
disk by a hard link; those into which a value was put are read and written. Arrays along
whose axes values are only added at the end keep their chunks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from widesweep.pipeline.config.region import Requested
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.plan.blocks import Plan
from widesweep.pipeline.predict.prediction import Prediction
from widesweep.pipeline.store import encoding, inventory, objects, schema, template
from widesweep.pipeline.store.array_growth import OTHER_SEPARATOR, ArrayGrowth, Places
from widesweep.pipeline.store.inventory import Document
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import GROWING, Store
from widesweep.workers.variable import NOT_REQUESTED, PENDING

JOURNAL = "run/block_attempts/growth.json"  # inside an array's folder, where no reader of Zarr looks
GROUPS = ("training", "initialization", "parts", "failures", "theory", "run")


def grow(
    store: Store,
    permit: Permit,
    plan: Plan,
    prediction: Prediction,
    index: np.ndarray,
    requested: Requested | None = None,
) -> None:
    """Makes room for the new cells; may be interrupted at any moment and done again."""
    url = store.url
    if store.attributes.get(GROWING):
        _delete_unused(permit, _documents(url))
    _change_root(permit, {GROWING: True}, {})
    objects.with_retries(url, lambda: template.consolidate(permit.zarr_store()))
    before, places = _documents(url), _places(store.config, plan.config)
    changed: dict[str, Document] = {}
    there = {key for name in GROUPS for key in objects.keys_below(url, name)}
    statuses = _statuses(store, plan.config, requested, places)
    groups = schema.groups(plan, prediction, index)
    for group, content in sorted(groups.items(), key=lambda each: each[0] != encoding.FAILURES):
        for wanted in sorted(content.arrays, key=_is_status):  # which seals what the others hold
            path = f"{group}/{wanted.variable.name}"
            growth = ArrayGrowth(permit, path, before[path], wanted.shape, wanted.chunks, places)
            if wanted.values is not None:
                changed[path] = growth.replaced(wanted.values)
            elif _is_status(wanted):
                reasons = f"{encoding.FAILURES}/{group}"
                members = {p: d for p, d in changed.items() if p.startswith(f"{group}/") or p == reasons}
                changed[path] = growth.resealed(statuses[group], members)
            elif group == "run":
                changed[path] = growth.replaced(_of_blocks(growth.read(), store, plan, places))
            else:
                changed[path] = growth.rearranged(there)
    attributes = {"config": plan.config.json_text(), "config_hash": plan.config.hash}
    if requested is not None:
        attributes[requests.ATTRIBUTE] = requested.text()
    permit.put({JOURNAL: inventory.sealed({"attributes": attributes, "documents": changed})})
    finish(permit)


def finish(permit: Permit) -> None:
    """Completes a growth whose chunks are all staged; nothing where there is none."""
    url = permit.url
    content = objects.get(url, JOURNAL)
    if content is None:
        return
    journal = inventory.unsealed(content)
    if journal is None:  # what the root shows to every reader is the store; the growth begins anew
        made = inventory.read(url)
        ours = _documents(url)
        journal = {"attributes": {}, "documents": {p: ours[p] for p in (made.arrays if made else ours)}}
    documents: dict[str, Document] = journal["documents"]
    permit.put({f"{path}/zarr.json": inventory.text(each) for path, each in documents.items()})
    _change_root(permit, journal["attributes"], documents)
    objects.with_retries(url, lambda: template.consolidate(permit.zarr_store()))
    _delete_unused(permit, documents)
    permit.put({inventory.PLACE: inventory.of(url, documents)})
    permit.delete([JOURNAL])
    _change_root(permit, {GROWING: None}, {})


def mark_requested(store: Store, permit: Permit) -> None:
    """Restores which cells are not requested, once the status of whole blocks has been deleted."""
    places, before = _places(store.config, store.config), _documents(store.url)
    for group, values in _statuses(store, store.config, store.requested, places).items():
        path = f"{group}/status"
        lengths = tuple(before[path]["chunk_grid"]["configuration"]["chunk_shape"])
        growth = ArrayGrowth(permit, path, before[path], values.shape, lengths, places)
        growth.resealed(values, {})


def _is_status(array: schema.Array) -> bool:
    return array.variable.name == "status"


def _places(old: SweepConfig, new: SweepConfig) -> dict[str, np.ndarray]:
    before, after = requests.values(old), requests.values(new)
    return {axis: np.searchsorted(after[axis], before[axis]) for axis in before}


def _statuses(
    store: Store, config: SweepConfig, requested: Requested | None, places: Places
) -> dict[str, np.ndarray]:
    """Status by group on the larger grid: the old, and what is to be computed pending."""
    cells, pairs = requests.mask(requested, config), requests.pair_draws(requested, config)
    by_pair, found = (places["width"], places["depth"]), {}
    if config.training is not None:
        status = _spread(store.training_status(), cells.shape, tuple(places.values()))
        found["training"] = _marked(status, cells)
    if config.initialization is not None:
        before = _spread(store.pair_draws, pairs.shape, by_pair)
        status = _spread(store.initialization_status(), pairs.shape, by_pair)
        status[(before > 0) & (before < pairs)] = PENDING
        found["initialization"] = _marked(status, pairs > 0)
        wanted = sampling.parts_requested(config, pairs)
        old = store.part_status()
        status = _spread(old, wanted.shape, (*by_pair, np.arange(old.shape[2])))
        changed = sampling.parts_that_change(store.config, before, pairs)
        status[..., : changed.shape[2]][changed] = PENDING
        found["parts"] = _marked(status, wanted)
    return found


def _marked(status: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Status in which what is not computed yet says whether it is requested."""
    left = np.isin(status, (PENDING, NOT_REQUESTED))
    return np.where(left, np.where(wanted, PENDING, NOT_REQUESTED), status).astype(status.dtype)


def _spread(values: np.ndarray, shape: tuple[int, ...], places: tuple[np.ndarray, ...]) -> np.ndarray:
    """Old values at their new places, 0 elsewhere: pending, or no draws."""
    found = np.zeros(shape, dtype=values.dtype)
    found[np.ix_(*places)] = values
    return found


def _of_blocks(old: np.ndarray, store: Store, plan: Plan, places: Places) -> np.ndarray:
    """What is known of blocks, by their new numbers: a block's is that which its first cell lies in."""
    fill = np.nan if old.dtype.kind == "f" else 0
    new = np.full(len(plan), fill, dtype=old.dtype)
    lengths = (*(1 for _ in plan.shape[:-2]), plan.seeds_per_block, plan.rates_per_block)
    trained = math.prod(store.plan_shape)
    if trained:
        starts = [place[::n] // n for place, n in zip(places.values(), lengths, strict=True)]
        new[np.ravel_multi_index(np.ix_(*starts), plan.shape).ravel()] = old[:trained]
    if len(old) > trained:
        drawn = old[trained:].reshape(*store.plan_shape[:2], -1)
        shape = (*plan.shape[:2], plan.part_blocks)
        pairs = (places["width"], places["depth"], np.arange(drawn.shape[2]))
        of_parts = np.full(shape, fill, dtype=old.dtype)
        of_parts[np.ix_(*pairs)] = drawn
        new[plan.training_blocks :] = of_parts.ravel()
    return new


def _documents(url: str) -> dict[str, Document]:
    """The metadata of all arrays, as the root has gathered them."""
    root = json.loads(objects.get(url, "zarr.json") or b"{}")
    found: dict[str, Document] = root["consolidated_metadata"]["metadata"]
    return {path: each for path, each in found.items() if each["node_type"] == "array"}


def _change_root(permit: Permit, attributes: Mapping[str, Any], documents: Mapping[str, Document]) -> None:
    """Changes attributes of the root, and the metadata of arrays that it has gathered, in one object."""
    root = json.loads(objects.get(permit.url, "zarr.json") or b"{}")
    every = {**root["attributes"], **attributes}
    root["attributes"] = {name: value for name, value in every.items() if value is not None}
    if documents:
        root["consolidated_metadata"]["metadata"].update(documents)
    permit.put({"zarr.json": inventory.text(root)})


def _delete_unused(permit: Permit, documents: Mapping[str, Document]) -> None:
    """Deletes chunks under names that their arrays do not use."""
    url = permit.url
    marks = {path: OTHER_SEPARATOR[inventory.separator(each)] for path, each in documents.items()}
    unused = tuple(f"{path}/c{mark}" for path, mark in marks.items())
    for group in GROUPS:
        mine = tuple(each for each in unused if each.startswith(f"{group}/"))
        keys = [key for key in objects.keys_below(url, group) if key.startswith(mine)]
        permit.delete(keys)
        objects.prune(url, keys)
