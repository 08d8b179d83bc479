"""Integer labels as classes: which there are, which rows have them, and how many outputs they ask for."""

from __future__ import annotations

import numpy as np

from widesweep.workers.data.data_config import DataConfig, DataError


def integers(config: DataConfig, given: np.ndarray | None, use: str) -> np.ndarray:
    """The source's labels, one integer for each row, shape (rows,).

    Raises:
        DataError: it gives none, or others; `use` says what they are wanted for.
    """
    if given is None:
        raise DataError(
            "labels", f"{config.source_name} gives no labels", "teacher or random for this source"
        )
    if given.ndim > 1 or not np.array_equal(given, np.rint(given)):
        raise DataError(
            "labels", f"{config.source_name} has labels that are no integers", f"integers, for {use}"
        )
    return given


def class_numbers(config: DataConfig, given: np.ndarray | None) -> np.ndarray:
    """The classes that a config has an output for, in their order, shape (K,).

    Args:
        config: the section `data`.
        given: the source's labels, shape (rows,).

    Raises:
        DataError: labels are no integers, of one class only, or of none that the config asks for.

    >>> class_numbers(DataConfig(labels="class"), np.array([7.0, 3.0, 7.0])).tolist()
    [3.0, 7.0]
    """
    present = np.unique(integers(config, given, "classes"))
    if config.classes is None:
        if len(present) < 2:
            raise DataError("labels", f"{config.source_name} has {len(present)} class", "two classes or more")
        return present
    absent = sorted(set(config.classes) - set(present.tolist()))
    if absent:
        raise DataError("classes", f"{config.source_name} has no class {absent[0]}", "classes of its labels")
    return np.array(config.classes, dtype=np.float64)


def rows_of_classes(config: DataConfig, given: np.ndarray | None) -> np.ndarray | None:
    """The source's rows of the chosen classes, ascending; None where all are wanted."""
    if config.classes is None:
        return None
    return np.flatnonzero(np.isin(integers(config, given, "classes"), class_numbers(config, given)))


def output_count(config: DataConfig, shape: tuple[int, ...], given: np.ndarray | None) -> int:
    """K, the number of outputs that a network needs for the labels.

    Args:
        config: the section `data`.
        shape: of the source's labels; () for none.
        given: the source's labels; read only where classes are to be counted.

    >>> output_count(DataConfig(source="mine.npz"), (50, 3), None)
    3
    """
    if config.classifies:
        return len(class_numbers(config, given))
    own = config.label_rule == "given" or (config.label_rule == "shuffled" and config.source != "digits")
    return shape[1] if own and len(shape) == 2 else 1
