"""A grid that only grows: new values at the end of each axis, old chunks as they are.

The store keeps its chunk grid. New widths, depths, output scales and corrupted fractions are new chunks. New
seeds and learning rates fill the last chunk of their axis first, if it was not full, and then open new ones;
a chunk that was partly filled is computed and written by one worker, which reads its old values, computes the
new cells alone, and puts both back: the only old files that change. Coordinates are therefore in order of
arrival, and not sorted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import zarr

from widesweep.pipeline.config import plug_ins
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.config.region import AXES, Requested, part
from widesweep.pipeline.config.sweep_config import NOT_IN_HASH, SweepConfig, SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.plan.blocks import Plan
from widesweep.pipeline.predict.prediction import Prediction
from widesweep.pipeline.store import objects, part_growth, schema, template
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import Store
from widesweep.workers.variable import NOT_REQUESTED, PENDING

GROWING = "growing"  # root attribute while a growth is under way; the same command ends it


def merge(sweep: SweepFile, store: Store, data_hash: str) -> SweepFile:
    """The sweep on the smallest grid around its own and the store's: the store's order, new values last.

    Raises:
        InputError: the configs differ in more than the values along their axes; shows the keys.
    """
    theirs, ours = store.config, sweep.config
    lines = _differences(ours, theirs if store.requested is None else _as_requested(theirs, store.requested))
    if lines:
        shown = ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        wanted = f"the store holds another sweep; {shown}"
        next_step = "Only the values along axes may differ; else choose another --store. Nothing was started."
        raise InputError(sweep.file, f"it is not the config of {store.url}", wanted, next_step)
    if store.attributes.get("data_hash", "") != data_hash:
        wanted = f"the store {store.url} was made from other data"
        raise InputError(f"{sweep.file}, data.source", "the file has changed", wanted)
    if changed := plug_ins.difference(sweep.plug_ins, json.loads(store.attributes.get("plug_ins", "[]"))):
        wanted = f"the store {store.url} was made with other code"
        next_step = "Bring that version back, or choose another --store. Nothing was started."
        raise InputError(f"{sweep.file}, plug-in {changed}", "its code has changed", wanted, next_step)
    axes = {axis: _joined(_values(theirs, axis), _values(ours, axis)) for axis in AXES}
    scales = axes.pop("output_scale")
    grid = {axis: _as_written(axis, values) for axis, values in axes.items()}
    merged, requested = _with_axes(ours, grid, scales), _requested(sweep, store)
    if requested is not None and requested.draws:
        merged = sampling.with_draws(merged, int(requests.pair_draws(requested, merged).max()))
    return replace(sweep, config=merged, requested=requested)


def is_needed(sweep: SweepFile, store: Store) -> bool:
    """Whether the merged sweep asks for more than the store's, or an earlier growth was interrupted."""
    ours, theirs = (
        [tuple(_values(config, axis)) for axis in AXES] for config in (sweep.config, store.config)
    )
    if sampling.draws(sweep.config) != sampling.draws(store.config):
        return True
    return ours != theirs or sweep.requested != store.requested or bool(store.attributes.get(GROWING))


def _as_requested(config: SweepConfig, requested: Requested) -> SweepConfig:
    """The config of a refined sweep as its user wrote it: without what refining added."""
    axes = dict(requested.grid)
    grid = {axis: _as_written(axis, axes[axis]) for axis in AXES if axis in axes and axis != "output_scale"}
    written = _with_axes(config, grid, axes.get("output_scale", ()))
    return sampling.with_draws(written, requested.draws) if requested.draws else written


def _requested(sweep: SweepFile, store: Store) -> Requested | None:
    """What is asked for from now on; None: the whole grid, as long as nothing was refined."""
    if store.requested is None:
        return sweep.requested
    if sweep.requested is not None:
        return sweep.requested.with_more(store.requested.parts, store.requested.more)
    before, ours = dict(store.requested.grid), dict(requests.of_config(sweep.config).grid)
    grid = {axis: _joined(before.get(axis, ()), ours[axis]) for axis in ours}
    draws = max(store.requested.draws, sampling.draws(sweep.config))
    return replace(store.requested, grid=part(grid), draws=draws)


def grow(
    store: Store,
    permit: Permit,
    plan: Plan,
    prediction: Prediction,
    index: np.ndarray,
    requested: Requested | None = None,
) -> None:
    """Makes room for the new cells; may be interrupted at any moment and done again.

    The root says first what the grid will be; every array is lengthened, coordinates and predictions are
    written; then metadata are gathered again, which shows the new grid to readers at once.
    """
    groups = schema.groups(plan, prediction, index)
    objects.with_retries(store.url, lambda: _grow_run(store, permit, plan))
    part_growth.reopen(store, permit, plan.config, requests.pair_draws(requested, plan.config))
    _set_root(permit, plan.config, requested, growing=True)
    for name, group in groups.items():
        for array in group.arrays if name != "run" else ():
            objects.with_retries(store.url, partial(_fit, permit, name, array))
    mark_requested(permit, plan.config, requested)
    objects.with_retries(store.url, lambda: template.consolidate(permit.zarr_store()))
    _set_root(permit, plan.config, requested, growing=False)


def mark_requested(permit: Permit, config: SweepConfig, requested: Requested | None) -> None:
    """Makes pending cells that are not requested `not_requested`, and those that are now pending again."""
    if requested is None:
        return
    pairs, wanted = requests.pair_draws(requested, config), {}
    if config.training is not None:
        cells = requests.mask(requested, config)
        wanted["training"] = cells if config.variant_axis is not None else cells[:, :, 0]
    if config.initialization is not None:
        wanted |= {"initialization": pairs > 0, "parts": sampling.parts_requested(config, pairs)}
    for name, mask in wanted.items():
        objects.with_retries(permit.url, partial(_mark, permit, name, mask))


def _mark(permit: Permit, group: str, wanted: np.ndarray) -> None:
    array = _open(permit, group, "status")
    status = np.asarray(array[...])
    open_ = np.isin(status, (PENDING, NOT_REQUESTED))
    array[...] = np.where(open_, np.where(wanted, PENDING, NOT_REQUESTED), status)


def _fit(permit: Permit, group: str, wanted: schema.Array) -> None:
    if objects.get(permit.url, f"{group}/{wanted.variable.name}/zarr.json") is None:
        return  # made by a version without this variable
    array = _open(permit, group, wanted.variable.name)
    if array.shape != wanted.shape:
        array.resize(wanted.shape)
    if wanted.values is not None:
        array[...] = wanted.values


def _open(permit: Permit, group: str, name: str) -> Any:
    """An array by its own metadata: those that its group has gathered may be of before a growth that died."""
    return zarr.open_array(permit.zarr_store(), path=f"{group}/{name}", mode="r+", zarr_format=3)


def _grow_run(store: Store, permit: Permit, plan: Plan) -> None:
    """Blocks have other numbers in a larger grid: their times move along."""
    before = store.plan_shape
    after = plan.shape
    for variable in schema.BLOCK_VARIABLES:
        if objects.get(store.url, f"run/{variable.name}/zarr.json") is None:
            continue  # made by a version without this variable
        array = _open(permit, "run", variable.name)
        old = np.asarray(array[...])
        if len(old) == len(plan):
            continue
        new = np.full(len(plan), variable.fill_value, dtype=old.dtype)
        kept, cells = int(np.prod(before)), int(np.prod(after))
        place = tuple(slice(0, length) for length in before)
        new[:cells].reshape(after)[place] = old[:kept].reshape(before)
        if len(old) > kept:
            drawn = old[kept:].reshape(*before[:2], -1)
            new[cells:].reshape(*after[:2], -1)[(*place[:2], slice(0, drawn.shape[2]))] = drawn
        array.resize(new.shape)
        array[...] = new


def _set_root(permit: Permit, config: SweepConfig, requested: Requested | None, *, growing: bool) -> None:
    """Changes the root's attributes and leaves the gathered metadata beside them."""
    metadata = json.loads(objects.get(permit.url, "zarr.json") or b"{}")
    attributes = metadata["attributes"] | {"config": config.json_text(), "config_hash": config.hash}
    attributes |= {requests.ATTRIBUTE: requested.text()} if requested is not None else {}
    attributes.pop(GROWING, None)
    metadata["attributes"] = attributes | ({GROWING: True} if growing else {})
    permit.put({"zarr.json": json.dumps(metadata, indent=2).encode()})


def _differences(ours: SweepConfig, theirs: SweepConfig) -> list[str]:
    """Key paths that differ, but for the values along axes that both have."""
    axes = [axis for axis in AXES if _values(theirs, axis) and _values(ours, axis)]
    kept = {axis: getattr(theirs.grid, axis) for axis in axes if axis != "output_scale"}
    same = _with_axes(ours, kept, tuple(_values(theirs, "output_scale")) if "output_scale" in axes else ())
    same = sampling.with_draws_of(theirs, same)
    exclude = set(NOT_IN_HASH)
    if same.model_dump(mode="json", exclude=exclude) == theirs.model_dump(mode="json", exclude=exclude):
        return []
    return configs.differences(same, theirs.json_text()) or ["another version wrote it"]


def _values(config: SweepConfig, axis: str) -> Sequence[Any]:
    if axis == "output_scale":
        return config.network.output_scales or ()
    names = {"seed": config.grid.seeds, "learning_rate": config.grid.learning_rates}
    return names[axis] if axis in names else getattr(config.grid, axis) or ()


def _with_axes(config: SweepConfig, grid: dict[str, Any], scales: tuple[float, ...]) -> SweepConfig:
    """The sweep with other values along some axes; α stays what it is without `scales`."""
    network = config.network.at_scale(scales) if scales else config.network
    return config.model_copy(update={"grid": config.grid.model_copy(update=grid), "network": network})


def _joined(old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
    """Old values in their order, then the new ones in theirs.

    >>> _joined((8, 4), (2, 4, 8))
    (8, 4, 2)
    """
    known = set(old)
    return (*old, *(value for value in new if value not in known))


def _as_written(axis: str, values: tuple[Any, ...]) -> Any:
    """Seeds 0, 1, … are a count; an axis that the config lacks stays away."""
    if axis == "seed" and values and values == tuple(range(len(values))):
        return len(values)
    return values or None
