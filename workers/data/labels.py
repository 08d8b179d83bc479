"""What the network is asked to fit; a new rule is a function here and a line in `RULES`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workers.data.config import DataConfig, DataError
from workers.seeds import generator

TEACHER_NEURONS = 8


def labels(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """Labels of all rows of the source, shape (rows,).

    Args:
        config: the section `data`.
        x: unit inputs, shape (rows, inputs).
        given: the source's own labels, shape (rows,), or None.

    Raises:
        DataError: the source has no labels for this rule.

    >>> labels(DataConfig(labels="parity"), np.eye(3), np.array([1.0, 2.0, 3.0])).tolist()
    [-1.0, 1.0, -1.0]
    """
    return RULES[config.label_rule](config, x, given)


def corrupt(config: DataConfig, y: np.ndarray) -> np.ndarray:
    """Labels with the sign of round(corrupted_fraction · n) of them flipped, chosen by the data's seed."""
    flipped = round(config.corrupted_fraction * len(y))
    chosen = generator("corrupted labels", config.seed).permutation(len(y))[:flipped]
    corrupted = y.copy()
    corrupted[chosen] *= -1.0
    return corrupted


def _given(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    if given is None:
        raise DataError("labels", f"{config.source} gives no labels", "teacher or random for this source")
    return given


def _parity(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """+1 for even and −1 for odd digits."""
    numbers = _given(config, x, given)
    if not np.array_equal(numbers, np.rint(numbers)):
        raise DataError(
            "labels", f"{config.source} has labels that are no integers", "integers, to take parity of"
        )
    return np.where(numbers % 2 == 0, 1.0, -1.0)


def _teacher(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """A two-layer ReLU network of eight neurons, scaled to a mean square of 1 over the source."""
    random = generator("teacher", config.seed)
    hidden = np.maximum(x @ random.standard_normal((x.shape[1], TEACHER_NEURONS)), 0.0)
    y = hidden @ random.standard_normal(TEACHER_NEURONS)
    return np.asarray(y / np.sqrt(np.mean(y**2)))


def _random(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """±1 with equal probability."""
    return generator("random labels", config.seed).choice([-1.0, 1.0], size=len(x))


def _shuffled(config: DataConfig, x: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """The source's default labels, handed to the wrong points."""
    rule = {"digits": _parity, "sphere": _teacher}.get(config.source, _given)
    return generator("shuffled labels", config.seed).permutation(rule(config, x, given))


RULES: dict[str, Callable[[DataConfig, np.ndarray, np.ndarray | None], np.ndarray]] = {
    "given": _given,
    "parity": _parity,
    "teacher": _teacher,
    "random": _random,
    "shuffled": _shuffled,
}
