"""Where points come from; a new source is a function here and a line in `read`."""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np

from widesweep.workers.data.classes import output_count, rows_of_classes
from widesweep.workers.data.data_config import DataConfig, DataError
from widesweep.workers.seeds import generator

DIGITS, DIGITS_SHAPE = "sklearn/datasets/data/digits.csv.gz", (1797, 64)
SPHERE_INPUTS = 10


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


def dimensions(config: DataConfig, base: Path | None = None) -> Dimensions:
    """Training samples, inputs and outputs of a config, without reading the points.

    Of the labels no more than the shape is read, unless there are classes to count.

    >>> dimensions(DataConfig(source="digits", samples=5, labels="class"))
    Dimensions(samples=5, inputs=64, outputs=10, test_samples=0)
    """
    if config.source == "sphere":
        shape: tuple[int, ...] = (config.samples + config.test_samples, config.inputs or SPHERE_INPUTS)
        y = None
    elif config.source == "digits":
        shape, y = DIGITS_SHAPE, _digits()[1] if _counts(config) else np.empty(DIGITS_SHAPE[0])
    else:
        x, y = _open(config, base)
        shape = x.shape
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


def read(config: DataConfig, base: Path | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Every point of the source, as stored, and the labels that it gives (None: it gives none).

    Args:
        config: the section `data`.
        base: folder that a relative path starts from.

    Returns:
        x of shape (rows, inputs) in float64, y of shape (rows,), or (rows, K) with K > 1, or None.

    Raises:
        DataError: the source does not exist, is malformed, too small, or not finite.
    """
    if config.source != "sphere" and config.inputs is not None:
        raise DataError("inputs", f"{config.inputs}", "only the source sphere takes a number of inputs")
    if config.source == "digits":
        return _digits()
    if config.source == "sphere":
        return _sphere(config), None
    x, y = _open(config, base)
    return _finite(x, "x"), None if y is None else _labels(y)


def _labels(y: np.ndarray) -> np.ndarray:
    """Labels in memory, a single column as a vector."""
    values = _finite(y, "y")
    return values[:, 0] if values.shape[1:] == (1,) else values


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """The table that scikit-learn ships, 64 pixels and the digit in a row; to import it takes a second."""
    table = np.loadtxt(str(distribution("scikit-learn").locate_file(DIGITS)), delimiter=",")
    return table[:, :-1], table[:, -1]


def _sphere(config: DataConfig) -> np.ndarray:
    random = generator("sphere", config.seed)
    return random.standard_normal((config.samples + config.test_samples, config.inputs or SPHERE_INPUTS))


def _open(config: DataConfig, base: Path | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The file's arrays x and y, lazily where the format allows, with their shapes checked."""
    path = Path(config.source)
    path = path if path.is_absolute() or base is None else base / path
    if path.suffix not in (".npz", ".zarr"):
        raise DataError(
            "source", f"{config.source!r} is no source", "digits, sphere, or a path to .npz or .zarr"
        )
    if not path.exists():
        raise DataError(
            "source",
            f"{path} does not exist",
            "a file with arrays x (rows, inputs) and y (rows) or (rows, K)",
        )
    arrays = _npz(path) if path.suffix == ".npz" else _zarr(path)
    if "x" not in arrays:
        raise DataError("source", f"{path} has {sorted(arrays) or 'no arrays'}", "an array named x")
    x, y = arrays["x"], arrays.get("y")
    if x.ndim != 2 or 0 in x.shape:
        raise DataError(
            "source", f"{path}: x has shape {x.shape}", "two dimensions (rows, inputs), none empty"
        )
    if y is not None and (y.shape[:1] != x.shape[:1] or y.ndim > 2 or 0 in y.shape):
        rows = x.shape[0]
        wanted = f"({rows},) or ({rows}, K), one or K labels for each row of x"
        raise DataError("source", f"{path}: y has shape {y.shape}", wanted)
    for name, array in (("x", x), ("y", y)):
        if array is not None and array.dtype.kind not in "fiu":
            raise DataError("source", f"{path}: {name} has dtype {array.dtype}", "real numbers")
    return x, y


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in ("x", "y")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            "source", f"{path} cannot be read ({error})", "a .npz written by numpy.savez"
        ) from error


def _zarr(path: Path) -> dict[str, np.ndarray]:
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)  # format 2 may name pickle as its codec
        return {name: array for name, array in group.arrays() if name in ("x", "y")}  # type: ignore[misc]  # arrays() is untyped
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "source", f"{path} cannot be read ({error})", "a Zarr group of format 3 with arrays x, y"
        ) from error


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    try:
        values = np.asarray(array[...], dtype=np.float64)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError("source", f"{name} cannot be read ({error})", "an undamaged array") from error
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        raise DataError("source", f"{name}[{where}] is {values[tuple(bad[0])]}", "finite numbers")
    return values
