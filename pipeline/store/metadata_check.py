"""Whether a store's groups and arrays are still described as they were when it was made."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import zarr
from zarr.errors import ZarrUserWarning

from widesweep.pipeline.config.sweep_config import SweepConfig, is_a_reference
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import draws
from widesweep.pipeline.store import address, inventory, objects
from widesweep.workers import random_networks
from widesweep.workers.measurements import MEASUREMENTS, STATUS, training_variables
from widesweep.workers.variable import Variable

GROUPS = ("training", "initialization", "parts", "failures", "theory", "run")
LARGEST = 2**33  # numbers of one array, and of one dimension that the config does not give
NEXT_STEP = "Nothing was written."
WANTED = "`widesweep run CONFIG --repair` writes its zarr.json again"


def expected(config: SweepConfig) -> dict[str, tuple[Variable, ...]]:
    """What the config puts into the groups of what is measured, reasons of failures and one's own apart."""
    result: dict[str, tuple[Variable, ...]] = {}
    if config.training is not None:
        built_in = [name for name in config.training.measure if name in MEASUREMENTS]
        result["training"] = training_variables(built_in) if built_in else (STATUS,)
    if config.initialization is not None:
        result["initialization"] = random_networks.variables(config.initialization)
    return result


def check(url: str, config: SweepConfig) -> None:
    """Looks at every array that the config asks for, and at whatever else of ours lies in the store.

    Args:
        url: the store's address.
        config: what the store was made from.

    Raises:
        InputError: one is gone, cannot be read, or fits neither its variable nor its coordinates; names it.
    """
    for name in ("run", "theory"):
        group(url, name)
    for name, variables in expected(config).items():
        parent = group(url, name)
        arrays = {each: array(url, parent, each) for each in _names(variables)}
        further = {axis.name for axis in config.axes}
        for variable in variables:
            found = arrays[variable.name]
            dims = [d for d in found.metadata.dimension_names or () if d not in further]
            if dims != list(variable.dims) or found.dtype != np.dtype(variable.dtype):
                raise _changed(url, f"{name}/{variable.name}")
        _check_lengths(url, name, arrays)
    for name, keys in _members(url).items():
        parent = group(url, name)
        arrays = {key: array(url, parent, key) for key in keys}
        for key, each in arrays.items():
            check_size(url, f"{name}/{key}", each)
            if name in GROUPS:
                check_grid(url, f"{name}/{key}", each, config)
        _check_lengths(url, name, arrays)


def check_size(url: str, node: str, array: Any) -> None:
    """Refuses an array that declares more numbers than any sweep has: nothing of it is allocated.

    Raises:
        InputError: names it and its shape.
    """
    if math.prod(array.shape) > LARGEST or math.prod(array.chunks) > LARGEST:
        shape = " × ".join(f"{length:,}" for length in array.shape)
        raise InputError(url, f"{node} declares {shape} numbers", WANTED, NEXT_STEP)


def check_grid(url: str, node: str, array: Any, config: SweepConfig) -> None:
    """Refuses an array whose dimensions are not as long as the config's axes.

    Raises:
        InputError: names it, the dimension and both lengths.
    """
    wanted = lengths(config)
    for dim, length in zip(array.metadata.dimension_names or (), array.shape, strict=False):
        if wanted.get(dim, length) != length:
            found = f"{node} has {length:,} along {dim}, its config {wanted[dim]:,}"
            raise InputError(url, found, WANTED, NEXT_STEP)


def lengths(config: SweepConfig) -> dict[str, int]:
    """How long the dimensions are that the config gives."""
    grid, found = config.grid, {"width": len(config.grid.width), "depth": len(config.grid.depth)}
    if config.training is not None:
        found |= {"seed": len(grid.seeds), "learning_rate": len(grid.learning_rates)}
        found |= {"step": len(config.training.recorded_steps())}
        found |= {axis.name: len(axis.values(config)) for axis in config.axes}
    if config.data is not None:
        found |= dict.fromkeys(("sample", "sample_other"), config.data.samples)
    if config.initialization is not None:
        found |= {"order": len(config.initialization.orders)}
        if not is_a_reference(getattr(config.network, "activation", "")):  # its author's is not imported
            found |= {"part": draws.parts(config)}
    return found


def group(url: str, name: str) -> Any:
    """A group of a store, from its own zarr.json and no consolidated copy.

    Raises:
        InputError: it is gone, or its zarr.json cannot be read.
    """

    def opened() -> zarr.Group:
        return zarr.open_group(
            address.zarr_store(url), path=name, mode="r", zarr_format=3, use_consolidated=False
        )

    return _told(url, name, opened)


def array(url: str, parent: zarr.Group, name: str) -> Any:
    """A member of such a group; raises as `group` does."""
    return _told(url, f"{parent.path}/{name}", lambda: parent[name])


def _told(url: str, node: str, opened: Callable[[], Any]) -> Any:
    """What was opened; why it could not be, in words."""
    try:
        return objects.with_retries(url, opened)
    except (KeyError, FileNotFoundError, IsADirectoryError):
        raise InputError(url, f"{node} is gone", WANTED, NEXT_STEP) from None
    except OSError:
        raise
    except Exception as error:  # whatever a library says of JSON that it did not write
        raise _changed(url, node, str(error)) from None


def _members(url: str) -> dict[str, list[str]]:
    """Names of our arrays by group: as the inventory has them, else as they lie there."""
    found: dict[str, list[str]] = {}
    if (made := inventory.read(url)) is not None:
        for path in made.arrays:
            found.setdefault(path.partition("/")[0], []).append(path.partition("/")[2])
        return found
    for name in GROUPS:
        if objects.get(url, f"{name}/zarr.json") is not None:
            found[name] = _told(url, f"an array in {name}", partial(_array_keys, group(url, name)))
    return found


def _array_keys(parent: zarr.Group) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # what is somebody else's
        return sorted(parent.array_keys())


def _names(variables: Iterable[Variable]) -> list[str]:
    """Variables and their coordinates."""
    return sorted({name for each in variables for name in (each.name, *each.dims)})


def _check_lengths(url: str, group: str, arrays: Mapping[str, Any]) -> None:
    """Along a coordinate every array of a group is as long as the coordinate."""
    for name, array in arrays.items():
        dims = array.metadata.dimension_names or ()
        wanted = [arrays[d].shape[0] if d in arrays else n for d, n in zip(dims, array.shape, strict=False)]
        if list(array.shape) != wanted:
            raise _changed(url, f"{group}/{name}")


def _changed(url: str, node: str, reason: str = "") -> InputError:
    told = f" ({reason.splitlines()[0][:80]})" if reason else ""
    return InputError(url, f"metadata of {node} are not as they were written{told}", WANTED, NEXT_STEP)
