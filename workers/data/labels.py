"""The labels that a network fits; a new rule is a function here and a line in `RULES`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from widesweep.workers.data.classes import class_numbers, integers
from widesweep.workers.data.data_config import DataConfig, DataError
from widesweep.workers.seeds import generator

TEACHER_NEURONS = 8


def labels(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """Labels of all rows of the source, shape (rows,), or (rows, K) where there are K outputs.

    Args:
        config: the section `data`.
        x: unit inputs, shape (rows, inputs).
        given: the source's own labels, shape (rows,) or (rows, K), or None.

    Raises:
        DataError: the source has no labels for this rule.

    >>> labels(DataConfig(labels="parity"), np.eye(3), np.array([1.0, 2.0, 3.0])).tolist()
    [-1.0, 1.0, -1.0]
    """
    return RULES[config.label_rule](config, x, given)


def corrupt(config: DataConfig, y: np.ndarray) -> np.ndarray:
    """Labels of which round(corrupted_fraction · n) are wrong, chosen by the data's seed.

    A class (a row with one high entry among low ones) becomes another one, each with equal probability. Of
    two values each becomes the other one. A teacher's labels change their sign.

    Raises:
        DataError: the labels are of another form, so that no value is the wrong one.
    """
    wrong = round(config.corrupted_fraction * len(y))
    chosen = generator("corrupted labels", config.seed).permutation(len(y))[:wrong]
    corrupted = y.copy()
    if not config.corrupted_fraction:
        return corrupted
    if _one_high_in_each_row(y):
        classes = y.shape[1]
        further = generator("corrupted classes", config.seed).integers(1, classes, size=wrong)
        place = (y[chosen].argmax(axis=1) + further) % classes
        corrupted[chosen] = np.where(np.eye(classes)[place] == 1.0, y.max(), y.min())
        return corrupted
    values = np.unique(y)
    drawn = config.label_rule == "teacher" or config.is_drawn  # symmetric about 0, or nearly
    if drawn or set(values.tolist()) <= {-1.0, 1.0}:
        corrupted[chosen] *= -1.0
        return corrupted
    if y.ndim > 1 or len(values) != 2:
        found = f"labels of {len(values)} different values" + (
            f" in {y.shape[1]} columns" if y.ndim > 1 else ""
        )
        wanted = "two values, which are swapped, or classes (one-hot rows, or integers with `labels: class`)"
        raise DataError("corrupted_fraction", found, wanted)
    corrupted[chosen] = np.where(y[chosen] == values[0], values[1], values[0])
    return corrupted


def noise(config: DataConfig, shape: tuple[int, ...]) -> np.ndarray:
    """What the data's seed adds to training labels: `noise` times independent standard normal numbers.

    >>> noise(DataConfig(noise=0.5), (3,)).tolist() == noise(DataConfig(noise=0.5), (5,))[:3].tolist()
    True
    """
    if not config.noise:
        return np.zeros(shape)
    return config.noise * generator("label noise", config.seed).standard_normal(shape)


def _one_high_in_each_row(y: np.ndarray) -> bool:
    """Whether every row is one class among K ≥ 2: one high entry, the others low."""
    if y.ndim != 2 or y.size == 0 or len(np.unique(y)) != 2:
        return False
    return bool(((y == y.max()).sum(axis=1) == 1).all())


def _given(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    if given is None:
        raise DataError(
            "labels", f"{config.source_name} gives no labels", "teacher or random for this source"
        )
    return given


def _parity(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """+1 for even and −1 for odd digits."""
    even = integers(config, given, "parity") % 2 == 0
    return np.where(even, 1.0, -1.0)


def _class(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """1 for the output of a row's class, 0 for the others."""
    numbers = integers(config, given, "classes")
    return np.asarray(numbers[:, None] == class_numbers(config, given), dtype=np.float64)


def _teacher(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """A two-layer ReLU network of eight neurons, scaled to a mean square of 1 over the source."""
    random = generator("teacher", config.seed)
    hidden = np.maximum(x @ random.standard_normal((x.shape[1], TEACHER_NEURONS)), 0.0)
    y = hidden @ random.standard_normal(TEACHER_NEURONS)
    return np.asarray(y / np.sqrt(np.mean(y**2)))


def _random(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """±1, or classes, with equal probability."""
    random = generator("random labels", config.seed)
    if config.classifies:
        classes = len(class_numbers(config, given))
        return np.asarray(np.eye(classes)[random.integers(0, classes, size=len(x))])
    return random.choice([-1.0, 1.0], size=len(x))


def _shuffled(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """The source's classes or default labels, handed to the wrong points."""
    rule = (
        _class
        if config.classifies
        else {"digits": _parity, "sphere": _teacher}.get(config.source_name, _given)
    )
    return generator("shuffled labels", config.seed).permutation(rule(config, x, given))


RULES: dict[str, Callable[[DataConfig, np.ndarray, np.ndarray | None], np.ndarray]] = {
    "given": _given,
    "parity": _parity,
    "class": _class,
    "teacher": _teacher,
    "random": _random,
    "shuffled": _shuffled,
}
