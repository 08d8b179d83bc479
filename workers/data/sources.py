"""Where points come from; a new source is a function here and a line in `read`."""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from widesweep.theory.registry import nearest
from widesweep.workers.data.classes import output_count, rows_of_classes
from widesweep.workers.data.data_config import DataConfig, DataError, ImagesError
from widesweep.workers.data.drawn_sources import draw
from widesweep.workers.data.image_files import is_image_file, read_images
from widesweep.workers.seeds import generator

DIGITS, DIGITS_SHAPE = Path(__file__).with_name("digits.csv.gz"), (1797, 64)  # see digits.LICENSE.txt
DIGITS_IMAGE = (8, 8)
DRAWN_INPUTS = 10
PAIRS = (  # names under which libraries write inputs and labels
    ("x", "y"),
    ("X", "y"),
    ("X", "Y"),
    ("x_train", "y_train"),
    ("X_train", "y_train"),
    ("data", "target"),
)
SAMPLE_DIMENSIONS = ("sample", "samples", "row", "rows", "observation", "obs", "n")
_UNREADABLE = (
    OSError, ValueError, EOFError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError,
    NotImplementedError, OverflowError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
EXACT_INTEGERS = 2**53  # the largest up to which float64 holds every integer


class Dimensions(NamedTuple):
    """How large a config's problem is.

    Attributes:
        samples: training points n.
        inputs: entries of a point.
        outputs: entries of a label, K.
        test_samples: test points.
    """

    samples: int
    inputs: int
    outputs: int = 1
    test_samples: int = 0


def image_shape(config: DataConfig, base: Path | None = None) -> tuple[int, ...]:
    """Height, width and perhaps channels of a source of images; () where its rows are numbers.

    >>> image_shape(DataConfig(source="digits")), image_shape(DataConfig(source="sphere"))
    ((8, 8), ())
    """
    if not config.path:
        return () if config.is_drawn else DIGITS_IMAGE
    shape = _open(config, base, images=True)[0].shape[1:]
    return tuple(int(side) for side in shape) if len(shape) > 1 else ()


def dimensions(config: DataConfig, base: Path | None = None, *, images: bool = False) -> Dimensions:
    """Training samples, inputs and outputs of a config, without reading the points.

    Of the labels no more than the shape is read, unless there are classes to count.

    Args:
        config: the section `data`.
        base: folder that a relative path starts from.
        images: whether rows of a file may be images, whose pixels and channels are the inputs.

    >>> dimensions(DataConfig(source="digits", samples=5, labels="class"))
    Dimensions(samples=5, inputs=64, outputs=10, test_samples=0)
    """
    if config.is_drawn:
        shape: tuple[int, ...] = (config.samples + config.test_samples, config.inputs or DRAWN_INPUTS)
        y = None if config.source == "sphere" else np.empty(shape[0])
    elif config.source == "digits":
        shape, y = DIGITS_SHAPE, _digits()[1] if _counts(config) else np.empty(DIGITS_SHAPE[0])
    else:
        x, y = _open(config, base, images=images)
        shape = x.shape[0], math.prod(x.shape[1:])
    given = _labels(y) if y is not None and _counts(config) else None
    chosen = rows_of_classes(config, given)
    refuse_too_many(config, shape[0] if chosen is None else len(chosen))
    outputs = output_count(config, () if y is None else y.shape, given)
    return Dimensions(config.samples, shape[1], outputs, config.test_samples)


def _counts(config: DataConfig) -> bool:
    """Whether the labels must be read to know how many rows and outputs there are."""
    return config.classifies or config.classes is not None


def refuse_too_many(config: DataConfig, rows: int) -> None:
    """Raises DataError where a config asks for more rows than its source has."""
    wanted = config.samples + config.test_samples
    if wanted > rows:
        raise DataError("samples", f"{wanted} rows asked for", f"at most the source's {rows}")


def read(
    config: DataConfig, base: Path | None = None, *, images: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Every point of the source, as stored, and the labels that it gives (None: it gives none).

    Args:
        config: the section `data`.
        base: folder that a relative path starts from.
        images: whether rows of a file may be images; each becomes a row of numbers.

    Returns:
        x of shape (rows, inputs) in float64, y of shape (rows,), or (rows, K) with K > 1, or None.

    Raises:
        DataError: the source does not exist, is malformed, too small, or not finite.
    """
    if not config.is_drawn and config.inputs is not None:
        wanted = "only the source sphere, or one with a kind, takes a number of inputs"
        raise DataError("inputs", f"{config.inputs}", wanted)
    if config.source == "digits":
        return _digits()
    if config.source == "sphere":
        return _sphere(config), None
    if not isinstance(config.source, str):
        inputs = config.inputs or DRAWN_INPUTS
        x, y = draw(config.source, config.samples, config.test_samples, inputs, config.seed)
        if not np.isfinite(y).all():
            wanted = "smaller numbers; of a teacher that is 0 everywhere, a larger width"
            raise DataError("source", "its labels are no finite numbers", wanted)
        return x, y
    x, y = _open(config, base, images=images)
    points = _finite(x, "x")
    return points.reshape(len(points), -1), None if y is None else _labels(y)


def _labels(y: np.ndarray) -> np.ndarray:
    """Labels in memory, a single column as a vector."""
    values = _finite(y, "y")
    return values[:, 0] if values.shape[1:] == (1,) else values


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """The table that scikit-learn ships too, 64 pixels and the digit in a row."""
    table = np.loadtxt(DIGITS, delimiter=",")
    return table[:, :-1], table[:, -1]


def _sphere(config: DataConfig) -> np.ndarray:
    random = generator("sphere", config.seed)
    return random.standard_normal((config.samples + config.test_samples, config.inputs or DRAWN_INPUTS))


def _open(config: DataConfig, base: Path | None, *, images: bool) -> tuple[Any, Any]:
    """The file's arrays x and y, lazily where the format allows, with their shapes checked."""
    path = source_path(config, base)
    if "://" in config.path:
        raise DataError("source", f"{config.path!r} is an address", "a file on this machine; copy it here")
    if is_image_file(path):
        x, y = read_images(path)
        return (x if images else x.reshape(len(x), -1)), y
    if path.suffix not in (".npz", ".zarr"):
        wanted = "digits, sphere, a mapping with a kind, or a path to .npz or .zarr"
        if near := nearest(config.path, ("digits", "sphere")):
            wanted += f"; the nearest is {near}"
        elif path.is_file():
            wanted += "; numpy.savez(path, x=…, y=…) writes one"
        raise DataError("source", f"{config.path!r} is no source", wanted)
    if not path.exists():
        raise DataError(
            "source",
            f"{path} does not exist",
            "a file with arrays x (rows, inputs) and y (rows) or (rows, K)",
        )
    arrays = _npz(path) if path.suffix == ".npz" else _zarr(path)
    x_name, y_name = _names(list(arrays), path)
    x, y = _samples_first(arrays[x_name], arrays.get(y_name), path)
    if x.ndim > 2:
        _check_images(x.shape, f"{path}: {x_name}", images=images)
    elif x.ndim != 2 or 0 in x.shape:
        raise DataError(
            "source", f"{path}: x has shape {x.shape}", "two dimensions (rows, inputs), none empty"
        )
    if y is not None and (y.shape[:1] != x.shape[:1] or y.ndim > 2 or 0 in y.shape):
        rows = x.shape[0]
        wanted = f"({rows},) or ({rows}, K), one or K labels for each row of x"
        if y.shape[:1] == x.shape[1:]:
            wanted += f"; x of shape {x.shape} looks transposed"
        raise DataError("source", f"{path}: y has shape {y.shape}", wanted)
    for name, array in (("x", x), ("y", y)):
        if array is not None and array.dtype.kind not in "fiub":
            numbered = "; np.unique(y, return_inverse=True)[1] numbers the classes"
            wanted = "real numbers" + (numbered if name == "y" and array.dtype.kind in "USOT" else "")
            raise DataError("source", f"{path}: {name} has dtype {array.dtype}", wanted)
    return x, y


def _check_images(shape: tuple[int, ...], name: str, *, images: bool) -> None:
    """Refuses images where rows of numbers are wanted, and images of another order of dimensions."""
    found = f"{name} has shape {shape}, as images have"
    if not images:
        raise ImagesError("source", found, "rows of numbers; flatten them: x.reshape(len(x), -1)")
    if len(shape) > 4 or 0 in shape:
        raise DataError(
            "source", f"{name} has shape {shape}", "(rows, height, width[, channels]), none empty"
        )
    if len(shape) == 4 and shape[1] in (1, 3) and shape[2] > 4 and shape[3] > 4:
        wanted = "channels last: np.moveaxis(x, 1, -1)"
        raise DataError("source", found + " with channels first", wanted)


def source_path(config: DataConfig, base: Path | None = None) -> Path:
    """The file of a source: `~` and `$VARIABLE` expanded, a relative path from the config's folder."""
    path = Path(os.path.expandvars(config.path))
    with contextlib.suppress(RuntimeError):  # no such user: then no such file, which is told
        path = path.expanduser()
    return path if path.is_absolute() or base is None else base / path


def _names(names: list[str], path: Path) -> tuple[str, str]:
    """What the file calls its inputs and labels.

    Raises:
        DataError: there are no inputs under a known name, or under several.
    """
    inputs = sorted({x for x, _ in PAIRS if x in names})
    if len(inputs) != 1:
        found = f"{path} has " + (", ".join(sorted(names)) or "no arrays")
        wanted = "one array of inputs: x (or X, x_train, data), with its labels y (or y_train, target)"
        if path.suffix == ".npz":
            wanted += "; numpy.savez(path, x=…, y=…) names them"
        raise DataError("source", found, wanted)
    labelled = [y for x, y in PAIRS if x == inputs[0] and y in names]
    return inputs[0], labelled[0] if labelled else ""


def _samples_first(x: Any, y: Any, path: Path) -> tuple[Any, Any]:
    """x and y with samples along their first dimension, by the dimensions' names where there are any."""
    names = getattr(x, "dims", None)
    if names is None or len(names) != 2:
        return x, y
    shared = set(names) & set(getattr(y, "dims", ()))
    candidates = [name for name in names if name in shared]
    if len(candidates) != 1:
        candidates = [name for name in names if str(name).lower() in SAMPLE_DIMENSIONS]
    if len(candidates) == 1:
        x = x.transpose(candidates[0], ...)
        return x, y if y is None or candidates[0] not in y.dims else y.transpose(candidates[0], ...)
    if y is not None and x.shape[0] == x.shape[1]:
        found = f"{path}: x has dimensions {names}, y has {y.dims}"
        raise DataError("source", found, "one dimension in common, that of the samples")
    return x, y


def _npz(path: Path) -> dict[str, np.ndarray]:
    known = {name for pair in PAIRS for name in pair}
    wanted = "a .npz written by numpy.savez"
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be read for ever
            raise OSError("it is no file")
        if not zipfile.is_zipfile(path) and path.is_file():
            raise DataError("source", f"{path} is no archive of arrays, or is cut short", wanted)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in known & set(archive.files):
                _check_size(archive.zip, f"{name}.npy")
            read = {name: archive[name] for name in archive.files if name in known}
            return read or dict.fromkeys(archive.files, np.empty(0))
    except DataError:
        raise
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DataError("source", f"{path} holds Python objects", "arrays of numbers") from None
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError("source", f"{path} cannot be read ({reason})", wanted) from error


def _check_size(archive: zipfile.ZipFile, member: str) -> None:
    """An array is as long as its header says, before room is made for it."""
    if member not in archive.namelist():
        return
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member} is of version {version[0]}.{version[1]} of NumPy's format")
        shape, _, kind = _HEADERS[version](file)
        wanted = math.prod(shape) * kind.itemsize
        found = archive.getinfo(member).file_size - file.tell()
    if not kind.hasobject and wanted != found:
        raise ValueError(f"{member} has {found} bytes, its header says {wanted}")


def _zarr(path: Path) -> dict[str, Any]:
    """The group's arrays, read lazily; those with named dimensions as xarray decodes them (CF)."""
    import xarray as xr
    import zarr

    if any((path / name).exists() for name in (".zgroup", ".zattrs", ".zmetadata")):
        found, wanted = f"{path} is of Zarr format 2", "format 3; xarray writes it with zarr_format=3"
        raise DataError("source", found, wanted)
    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)  # format 2 may name pickle as its codec
        arrays: dict[str, Any] = dict(group.arrays())
        known = {name for pair in PAIRS for name in pair}
        named = {name for name in known & set(arrays) if _has_dimension_names(arrays[name])}
        if named:
            others = sorted(set(arrays) - named)
            opened = xr.open_dataset(
                path, engine="zarr", zarr_format=3, consolidated=False, chunks=None, drop_variables=others
            )
            arrays.update({name: opened[name] for name in named})
        return arrays
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "source", f"{path} cannot be read ({error})", "a Zarr group of format 3 with arrays x, y"
        ) from error


def _has_dimension_names(array: Any) -> bool:
    names = array.metadata.dimension_names
    return bool(names) and all(name is not None for name in names)


def _finite(array: Any, name: str) -> np.ndarray:
    try:
        raw = np.asarray(array[...])
        with np.errstate(over="ignore"):  # what overflows is refused below
            values = np.asarray(raw, dtype=np.float64)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise DataError("source", f"{name} cannot be read ({error})", "an undamaged array") from error
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        value = values[tuple(bad[0])]
        missing = "missing (nan)" if np.isnan(value) else f"{value}"
        rows = f"; {len(np.unique(bad[:, 0]))} rows have such values" if len(bad) > 1 else ""
        raise DataError(
            "source", f"row {int(bad[0][0])}: {name}[{where}] is {missing}{rows}", "finite numbers"
        )
    if raw.dtype.kind in "iu" and raw.size and np.abs(values).max() > EXACT_INTEGERS:
        raise DataError("source", f"{name} has integers beyond 2^53", "numbers that float64 holds exactly")
    return values
