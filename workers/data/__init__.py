"""Points and labels: read, normalised, checked and chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from widesweep.workers.data.classes import rows_of_classes
from widesweep.workers.data.data_config import DataConfig, DataError, ImagesError
from widesweep.workers.data.labels import corrupt, labels, noise
from widesweep.workers.data.sources import (
    Dimensions,
    dimensions,
    image_shape,
    read,
    refuse_too_many,
    source_path,
)
from widesweep.workers.seeds import generator

__all__ = [
    "Data",
    "DataConfig",
    "DataError",
    "Dimensions",
    "ImagesError",
    "dimensions",
    "image_shape",
    "load",
    "source_path",
]

ORDINARY = (1e-100, 1e100)  # largest entries whose squared norms float64 holds
PARALLEL = 1e-10  # 1 − |cosine| below which two rows count as parallel: their kernel is singular to rounding


@dataclass(frozen=True)
class Data:
    """Training and test points.

    Attributes:
        x: training inputs of unit norm, shape (samples, inputs), float64.
        y: training labels, shape (samples,), or (samples, K) where there are K > 1 outputs.
        index: rows of the source that they are, shape (samples,).
        test_x: test inputs of unit norm, shape (test_samples, inputs).
        test_y: test labels, never corrupted nor noisy, shape (test_samples,) or (test_samples, K).
        clean_y: training labels before they were corrupted or noise was added; None: `y` is clean.
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    clean_y: np.ndarray | None = None

    @property
    def outputs(self) -> int:
        """K, the number of a network's outputs."""
        return 1 if self.y.ndim == 1 else int(self.y.shape[1])

    def corrupted(self, config: DataConfig) -> Data:
        """The same points with labels of which the config's `corrupted_fraction` are wrong, and its `noise`.

        >>> clean = load(DataConfig(samples=4))
        >>> wrong = clean.corrupted(DataConfig(samples=4, corrupted_fraction=0.5))
        >>> int((wrong.y != clean.y).sum())
        2
        """
        clean = self.y if self.clean_y is None else self.clean_y
        return replace(self, y=corrupt(config, clean) + noise(config, clean.shape))


def load(config: DataConfig, base: Path | None = None, *, images: bool = False) -> Data:
    """The points that a config asks for, of unit norm.

    `normalize: sphere` subtracts the mean over the whole source first (that of a drawn source is 0), `unit`
    only scales. Rows are drawn without replacement by the data's seed: training points first, then test.

    Args:
        config: the section `data`.
        base: folder that a relative path starts from.
        images: whether rows of a file may be images (rows, height, width[, channels]); each becomes one row.

    Raises:
        DataError: too few rows, a zero row, or two parallel training rows (both are named).

    >>> load(DataConfig(source="sphere", samples=4, inputs=3)).x.shape
    (4, 3)
    """
    raw, given = read(config, base, images=images)
    wanted = config.samples + config.test_samples
    x = _unit_rows(raw, centre=config.normalize == "sphere" and not config.is_drawn)
    rows, chosen = np.arange(len(x)), rows_of_classes(config, given)
    if chosen is not None and given is not None:
        x, given, rows = x[chosen], given[chosen], chosen
    refuse_too_many(config, len(rows))
    y = labels(config, x, given)
    # rows of a drawn source are random as they come
    order = np.arange(len(x)) if config.is_drawn else generator("rows", config.seed).permutation(len(x))
    index = _drop_parallel(x, order, wanted) if config.drop_parallel else order[:wanted]
    if len(index) < wanted:
        raise DataError("samples", f"{wanted} rows asked for", f"{len(index)} are left without parallel ones")
    train, test = index[: config.samples], index[config.samples :]
    _refuse_parallel(x[train], rows[train])
    clean = y[train]
    return Data(x[train], clean, rows[train], x[test], y[test], clean).corrupted(config)


def _unit_rows(raw: np.ndarray, *, centre: bool) -> np.ndarray:
    largest = float(np.abs(raw).max())
    if not ORDINARY[0] <= largest <= ORDINARY[1] and largest > 0:
        raw = raw / largest  # whose squares would leave float64
    x = raw - raw.mean(axis=0) if centre else raw
    norm = np.linalg.norm(x, axis=1)
    scale = max(float(norm.max()), np.finfo(np.float64).tiny)
    zero = np.flatnonzero(norm <= 1e-12 * scale)
    if len(zero):
        kind = "equals the mean of all rows" if centre else "is zero"
        raise DataError("source", f"row {int(zero[0])} {kind}", "rows that can be scaled to unit norm")
    return np.asarray(x / norm[:, None])


def _refuse_parallel(x: np.ndarray, index: np.ndarray) -> None:
    cosine = np.abs(x @ x.T)
    np.fill_diagonal(cosine, 0.0)
    if len(x) > 1 and cosine.max() > 1.0 - PARALLEL:
        i, j = np.unravel_index(int(cosine.argmax()), cosine.shape)
        raise DataError(
            "source",
            f"rows {int(index[i])} and {int(index[j])} are parallel",
            "no two parallel inputs: the kernel would be singular",
            "Set data.drop_parallel: true to keep the first of them.",
        )


def _drop_parallel(x: np.ndarray, order: np.ndarray, wanted: int) -> np.ndarray:
    """The first `wanted` rows in this order that are parallel to none before them."""
    kept: list[int] = []
    for row in order:
        if len(kept) == wanted:
            break
        if not kept or np.abs(x[kept] @ x[row]).max() <= 1.0 - PARALLEL:
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)
