"""Whether a config may grow a store, and what the store then holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from widesweep.pipeline.config import plug_ins
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.config.axes import AXES, names
from widesweep.pipeline.config.region import Requested, part
from widesweep.pipeline.config.sweep_config import NOT_IN_HASH, SweepConfig, SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.store.reader import GROWING, Store


def merge(sweep: SweepFile, store: Store, data_hash: str) -> SweepFile:
    """The sweep on the smallest grid around its own and the store's.

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
    axes = {axis: _joined(_values(theirs, axis), _values(ours, axis)) for axis in names()}
    merged, requested = _with_axes(ours, axes), _requested(sweep, store)
    if requested is not None and requested.draws:
        merged = sampling.with_draws(merged, int(requests.pair_draws(requested, merged).max()))
    return replace(sweep, config=merged, requested=requested)


def is_needed(sweep: SweepFile, store: Store) -> bool:
    """Whether the merged sweep requests more than the store's, or an earlier growth was interrupted."""
    ours, theirs = (
        [tuple(_values(config, axis)) for axis in names()] for config in (sweep.config, store.config)
    )
    if sampling.draws(sweep.config) != sampling.draws(store.config):
        return True
    return ours != theirs or sweep.requested != store.requested or bool(store.attributes.get(GROWING))


def _as_requested(config: SweepConfig, requested: Requested) -> SweepConfig:
    """The config of a refined sweep as its user wrote it: without what refining added."""
    written = _with_axes(config, dict(requested.grid))
    return sampling.with_draws(written, requested.draws) if requested.draws else written


def _requested(sweep: SweepFile, store: Store) -> Requested | None:
    """What is requested from now on; None: the whole grid, as long as nothing was refined."""
    if store.requested is None:
        return sweep.requested
    if sweep.requested is not None:
        return sweep.requested.with_more(store.requested.parts, store.requested.more)
    before, ours = dict(store.requested.grid), dict(requests.of_config(sweep.config).grid)
    grid = {axis: _joined(before.get(axis, ()), ours[axis]) for axis in ours}
    draws = max(store.requested.draws, sampling.draws(sweep.config))
    return replace(store.requested, grid=part(grid), draws=draws)


def _differences(ours: SweepConfig, theirs: SweepConfig) -> list[str]:
    """Key paths that differ, but for the values along axes that both have."""
    both = [axis for axis in names() if _values(theirs, axis) and _values(ours, axis)]
    same = _with_axes(ours, {axis: tuple(_values(theirs, axis)) for axis in both})
    same = sampling.with_draws_of(theirs, same)
    exclude = set(NOT_IN_HASH)
    if same.model_dump(mode="json", exclude=exclude) == theirs.model_dump(mode="json", exclude=exclude):
        return []
    return configs.differences(same, theirs.json_text()) or ["another version wrote it"]


def _values(config: SweepConfig, axis: str) -> Sequence[Any]:
    if axis in AXES:
        return AXES[axis].values(config)
    names = {"seed": config.grid.seeds, "learning_rate": config.grid.learning_rates}
    return names[axis] if axis in names else getattr(config.grid, axis)


def _with_axes(config: SweepConfig, values: Mapping[str, tuple[Any, ...]]) -> SweepConfig:
    """The sweep with other values along some axes."""
    grid = {axis: _as_written(axis, each) for axis, each in values.items() if axis not in AXES}
    config = config.model_copy(update={"grid": config.grid.model_copy(update=grid)})
    for axis, each in values.items():
        if axis in AXES and each:
            config = AXES[axis].along(config, each)
    return config


def _joined(old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
    """The values of both, ascending.

    >>> _joined((4, 8), (2, 4))
    (2, 4, 8)
    """
    return tuple(sorted({*old, *new}))


def _as_written(axis: str, values: tuple[Any, ...]) -> Any:
    """Seeds 0, 1, … are a count; an axis that the config lacks stays away."""
    if axis == "seed" and values and values == tuple(range(len(values))):
        return len(values)
    return values or None
