"""A config's training points: read, counted and recognised, with what is wrong told as an input error."""

from __future__ import annotations

import hashlib

from widesweep.pipeline.config.store_path import shown
from widesweep.pipeline.config.sweep_config import SweepConfig, SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import blocks
from widesweep.pipeline.plan.blocks import Plan
from widesweep.theory.registry import last_line
from widesweep.workers.data import Data, DataError, Dimensions, dimensions, load, source_path
from widesweep.workers.networks import Module

_BUILT_IN = ("digits", "sphere")


def load_data(sweep: SweepFile) -> Data | None:
    """The training points; None where the config has no data.

    Raises:
        InputError: the source is missing, malformed, too small, or has parallel rows.
    """
    if sweep.config.data is None:
        return None
    try:
        return load(sweep.config.data, sweep.base)
    except DataError as error:
        raise _input_error(error, sweep.file) from None


def check_data(sweep: SweepFile) -> dict[str, str]:
    """Reads the points with the labels of every variant, as `run` will; where store and data lie.

    Raises:
        InputError: as `load_data`, or labels cannot be corrupted.
    """
    points = load_data(sweep)
    for variant in sweep.config.variants:
        labelled(points, sweep.config, variant)
    source = sweep.config.data
    files = (
        {} if source is None or source.source in _BUILT_IN else {"data": str(source_path(source, sweep.base))}
    )
    return {"store": shown(sweep.config.store), **files}


def labelled(data: Data | None, config: SweepConfig, variant: float) -> Data | None:
    """The points with the labels of one variant: as `load_data` gave them, or corrupted further.

    Args:
        data: training points as `load_data` gave them, or None.
        config: the sweep.
        variant: one of `config.variants`.
    """
    section = config.at_variant(variant).data
    if data is None or section is None or config.variant_axis != "corrupted_fraction":
        return data
    try:
        return data.corrupted(section)
    except DataError as error:
        raise InputError(f"grid.{error.field}", error.found, f"wanted: {error.wanted}") from None


def data_dimensions(sweep: SweepFile) -> Dimensions:
    """Samples, inputs and outputs without reading the points; one of each without data."""
    if sweep.config.data is None:
        return Dimensions(1, 1)
    try:
        return dimensions(sweep.config.data, sweep.base)
    except DataError as error:
        raise _input_error(error, sweep.file) from None


def make_plan(
    sweep: SweepFile,
    cores: int,
    seeds_per_block: int | None = None,
    rates_per_block: int | None = None,
    parts_per_block: int | None = None,
    gpus: int = 0,
) -> Plan:
    """The plan of a config on so many cores and GPUs; in an existing store the blocks keep their length."""
    size = data_dimensions(sweep)
    _check_modules(sweep, size)
    return blocks.make(sweep.config, size, cores, seeds_per_block, rates_per_block, parts_per_block, gpus)


def _check_modules(sweep: SweepFile, size: Dimensions) -> None:
    """Builds the narrowest module of each depth, before anything starts."""
    network, grid = sweep.config.network, sweep.config.grid
    if not isinstance(network, Module):
        return
    for depth in grid.depth:
        try:
            network.check(min(grid.width), depth, size.inputs, size.outputs)
        except Exception as error:
            found = str(error) if isinstance(error, ValueError) else last_line(error)
            wanted = "it makes a torch.nn.Module of (width, depth, inputs, outputs, **options)"
            where = f"{sweep.file}, network.factory"
            raise InputError(where, f"'{network.factory}': {found}", wanted) from None


def source_hash(sweep: SweepFile) -> str:
    """SHA-256 of the source's files, hexadecimal; empty for sources that the config alone defines."""
    if sweep.config.data is None or sweep.config.data.source in _BUILT_IN:
        return ""
    path = source_path(sweep.config.data, sweep.base)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(path)).encode() if file != path else b"")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _input_error(error: DataError, file: str) -> InputError:
    hint = f"{error.hint.strip().rstrip('.')}. " if error.hint else ""
    return InputError(
        f"{file}, data.{error.field}", error.found, f"wanted: {error.wanted}", f"{hint}Nothing was started."
    )
