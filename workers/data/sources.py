"""Where points come from; a new source is a function here and a line in `read`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from workers.data.config import DataConfig, DataError
from workers.seeds import generator

DIGITS_SHAPE = (1797, 64)
SPHERE_INPUTS = 10


def dimensions(config: DataConfig, base: Path | None = None) -> tuple[int, int]:
    """(training samples, inputs) of a config, without reading more than an array's header.

    >>> dimensions(DataConfig(source="digits", samples=5))
    (5, 64)
    """
    if config.source == "sphere":
        return config.samples, config.inputs or SPHERE_INPUTS
    rows, inputs = DIGITS_SHAPE if config.source == "digits" else _open(config, base)[0].shape
    refuse_too_many(config, rows)
    return config.samples, inputs


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
        x of shape (rows, inputs) in float64, y of shape (rows,) or None.

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
    return _finite(x, "x", 2), None if y is None else _finite(y, "y", 1)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, digit = load_digits(return_X_y=True)
    return np.asarray(images, dtype=np.float64), np.asarray(digit, dtype=np.float64)


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
            "source", f"{path} does not exist", "a file with arrays x (rows, inputs) and y (rows)"
        )
    arrays = _npz(path) if path.suffix == ".npz" else _zarr(path)
    if "x" not in arrays:
        raise DataError("source", f"{path} has {sorted(arrays) or 'no arrays'}", "an array named x")
    x, y = arrays["x"], arrays.get("y")
    if x.ndim != 2 or 0 in x.shape:
        raise DataError(
            "source", f"{path}: x has shape {x.shape}", "two dimensions (rows, inputs), none empty"
        )
    if y is not None and y.shape != (x.shape[0],):
        raise DataError(
            "source", f"{path}: y has shape {y.shape}", f"({x.shape[0]},), a label for each row of x"
        )
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
        group = zarr.open_group(str(path), mode="r")
        return {name: array for name, array in group.arrays() if name in ("x", "y")}  # type: ignore[misc]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "source", f"{path} cannot be read ({error})", "a Zarr group with arrays x, y"
        ) from error


def _finite(array: np.ndarray, name: str, dims: int) -> np.ndarray:
    try:
        values = np.asarray(array[(slice(None),) * dims], dtype=np.float64)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError("source", f"{name} cannot be read ({error})", "an undamaged array") from error
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        raise DataError("source", f"{name}[{where}] is {values[tuple(bad[0])]}", "finite numbers")
    return values
