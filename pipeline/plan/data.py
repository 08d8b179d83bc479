"""A config's training points: read, counted and recognised, with what is wrong told as an input error."""

from __future__ import annotations

import hashlib
from pathlib import Path

from widesweep.pipeline.config.axes.axis import Axis
from widesweep.pipeline.config.compute import format_bytes
from widesweep.pipeline.config.store_path import shown
from widesweep.pipeline.config.sweep_config import Point, SweepConfig, SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import blocks
from widesweep.pipeline.plan.blocks import Plan
from widesweep.theory.registry import last_line
from widesweep.workers.data import Data, DataError, Dimensions, ImagesError, dimensions, load, source_path
from widesweep.workers.data.image_files import files_of, is_image_file
from widesweep.workers.networks import Module, taking_images


def load_data(sweep: SweepFile) -> Data | None:
    """The training points; None where the config has no data.

    Raises:
        InputError: the source is missing, malformed, too small, or has parallel rows.
    """
    if sweep.config.data is None:
        return None
    try:
        _check_size(sweep)
        data = load(sweep.config.data, sweep.base, images=sweep.config.network.takes_images)
    except DataError as error:
        raise input_error(error, sweep.file) from None
    _check_labels(sweep, data)
    return data


def _check_labels(sweep: SweepFile, data: Data) -> None:
    """Refuses labels that the loss does not take."""
    training, settings = sweep.config.training, sweep.config.data
    if training is None or settings is None or training.loss == "squared":
        return
    try:
        found = training.loss_function.objection(data.y)
    except Exception as error:
        found = last_line(error)
    if found:
        wanted = f"other labels than `{settings.label_rule}`, or another loss"
        if settings.noise:
            wanted = f"no `data.noise`, {wanted}"
        raise InputError(f"{sweep.file}, training.loss", found, wanted, "Nothing was started.")


def _check_size(sweep: SweepFile) -> None:
    """Refuses points and kernels that memory does not hold, before any is made."""
    size, held = data_dimensions(sweep), sweep.config.compute.memory_bytes
    each = 3  # Θ and its eigenvectors, K
    kernels = each * len(sweep.config.grid.depth) * len(sweep.config.points) + 3  # and cosines of all pairs
    rows = 8.0 * (size.samples + size.test_samples) * (3 * size.inputs + size.outputs)
    if rows + 8.0 * kernels * size.samples**2 > held:
        needed = f"{size.samples:,} and {size.test_samples:,} points with their kernels need more"
        raise DataError(
            "samples", f"{needed} than {format_bytes(held)}", "fewer samples, or more compute.memory"
        )


def places(sweep: SweepFile) -> dict[str, str]:
    """Where the store and, if it is a file, the data lie."""
    data = sweep.config.data
    files = {} if data is None or not data.path else {"data": str(source_path(data, sweep.base))}
    return {"store": shown(sweep.config.store), **files}


def at_value(
    data: Data | None, config: SweepConfig, axis: Axis, value: float
) -> tuple[SweepConfig, Data | None]:
    """Config and training points at a value along one axis.

    Raises:
        DataError: these labels cannot be corrupted.
    """
    config = axis.at(config, value)
    return config, data if data is None else axis.points(data, config)


def at(data: Data | None, config: SweepConfig, point: Point) -> Data | None:
    """The training points at a point of the grid's further axes, such as with more labels corrupted.

    Args:
        data: training points as `load_data` gave them, or None.
        config: the sweep.
        point: one of `config.points`.

    Raises:
        DataError: these labels cannot be corrupted.
    """
    for axis, value in zip(config.axes, point, strict=True):
        config, data = at_value(data, config, axis, value)
    return data


def data_dimensions(sweep: SweepFile) -> Dimensions:
    """Samples, inputs and outputs without reading the points; one of each without data."""
    if sweep.config.data is None:
        return Dimensions(1, 1)
    try:
        return dimensions(sweep.config.data, sweep.base, images=sweep.config.network.takes_images)
    except DataError as error:
        raise input_error(error, sweep.file) from None


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
    if sweep.config.data is None or not sweep.config.data.path:
        return ""
    path = source_path(sweep.config.data, sweep.base)
    digest = hashlib.sha256()
    for file in _files_of(path):
        name = str(file.relative_to(path)) if path.is_dir() else file.name
        digest.update(name.encode() if file != path else b"")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _files_of(path: Path) -> list[Path]:
    """All that a source is read from, in one order."""
    if is_image_file(path):
        return files_of(path)
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def input_error(error: DataError, file: str, section: str = "data") -> InputError:
    """A complaint of the data with the file and the section of the config that it concerns."""
    hint = f"{error.hint.strip().rstrip('.')}. " if error.hint else ""
    wanted = error.wanted
    if isinstance(error, ImagesError):
        kinds = " and ".join(taking_images())
        wanted += (
            f"; network.kind {kinds} takes images, and a module's factory may shape rows into them again"
        )
    return InputError(
        f"{file}, {section}.{error.field}",
        error.found,
        f"wanted: {wanted}",
        f"{hint}Nothing was started.",
    )
