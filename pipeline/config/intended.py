"""What a value or key that a config cannot have was likely meant as: for the end of a message."""

from __future__ import annotations

import re
from typing import Any

from widesweep.theory.registry import nearest

KEYS = {  # other libraries' words for ours
    "lr": "grid.learning_rate",
    "epochs": "training.steps",
    "iterations": "training.steps",
    "max_steps": "training.steps",
    "batch": "training.batch_size",
    "hidden_size": "grid.width",
    "hidden_dim": "grid.width",
    "layers": "grid.depth",
    "num_layers": "grid.depth",
    "dataset": "data.source",
    "output": "store",
    "model": "network",
}
VALUES = {
    "gpu": "cuda",
    "double": "float64",
    "f64": "float64",
    "fp64": "float64",
    "float": "float32",
    "single": "float32",
    "f32": "float32",
    "fp32": "float32",
    "mlp": "fully_connected",
    "dense": "fully_connected",
    "fcn": "fully_connected",
    "cnn": "convolutional",
    "conv": "convolutional",
    **dict.fromkeys(("mse", "mseloss", "mse_loss", "mean_squared_error", "l2", "quadratic"), "squared"),
    **dict.fromkeys(("bce", "bceloss", "bcewithlogitsloss", "bce_with_logits", "log_loss"), "logistic"),
    **dict.fromkeys(("binary_crossentropy", "binary_cross_entropy", "soft_margin"), "logistic"),
    **dict.fromkeys(("ce", "nll", "softmax", "xent", "sparse_categorical_crossentropy"), "cross_entropy"),
    **dict.fromkeys(("smooth_l1", "smoothl1loss", "l1"), "huber"),
    "gradient_descent": "gd",
    "sgld": "langevin",
    "heavy_ball": "momentum",
}
TRUE, FALSE = ("yes", "on", "y"), ("no", "off", "n")
_RANGE = re.compile(r"(?:range\()?\s*(-?\d+)\s*(?:\.\.+|-|,|to|:)\s*(\d+)\s*\)?")
_POWER = re.compile(r"(\d{1,3})\s*(?:\*\*|\^)\s*(\d{1,2})")
_THOUSANDS = re.compile(r"(\d+(?:\.\d+)?)\s*([kKM])")
_SHARE = re.compile(r"(\d+)\s*/\s*(\d+)")
_LISTED = 10  # values of a range that are written out


def word(value: Any, words: list[str]) -> str | None:
    """The known word that a value stands for, or the nearest.

    >>> word("gpu", ["auto", "cpu", "cuda"]), word("SGD", ["gd", "sgd"]), word("x", ["relu"])
    ('cuda', 'sgd', None)
    """
    if not isinstance(value, str):
        return None
    known = VALUES.get(value.lower())
    return known if known in words else nearest(value, words)


def value(found: Any, kind: str = "") -> str:
    """What to write instead of a number, a truth value or a range that was written otherwise; empty: unclear.

    Args:
        found: the value.
        kind: "bool" or "number", where one was wanted.

    >>> value(1000.0, "number"), value("10k", "number"), value("1..4"), value("yes", "bool"), value("x")
    ('write 1000', 'write 10000', 'for the values from 1 to 4 write [1, 2, 3, 4]', 'write true', '')
    """
    if isinstance(found, float) and found.is_integer() and abs(found) < 1e15:
        return f"write {int(found)}"
    if not isinstance(found, str) or len(found) > 40:
        return ""
    text = found.strip()
    if kind == "bool" and text.lower() in (*TRUE, *FALSE):
        return f"write {'true' if text.lower() in TRUE else 'false'}"
    if text in ("None", "none", "nil"):
        return "write null, or leave the key out"
    if match := _RANGE.fullmatch(text):
        return values_between(int(match[1]), int(match[2]))
    return _number(text)


def values_between(first: int, last: int) -> str:
    """How a list of whole numbers is written.

    >>> values_between(1, 30)
    'for the values from 1 to 30 write a list, [1, 2, …, 30]'
    """
    if not first < last:
        return ""
    if last - first < _LISTED:
        return f"for the values from {first} to {last} write {list(range(first, last + 1))}"
    return f"for the values from {first} to {last} write a list, [{first}, {first + 1}, …, {last}]"


def _number(text: str) -> str:
    if match := _POWER.fullmatch(text):
        return f"write {int(match[1]) ** int(match[2])}"
    if match := _THOUSANDS.fullmatch(text):
        return f"write {float(match[1]) * (1e6 if match[2] == 'M' else 1e3):.12g}"
    if (match := _SHARE.fullmatch(text)) and int(match[2]):
        return f"write {int(match[1]) / int(match[2]):.6g}"
    try:
        float(text)
    except ValueError:
        return ""
    return (
        f"write {text} without quotes" if text.lower().strip("+-") not in ("inf", "nan", "infinity") else ""
    )


def spaced(key: str) -> str:
    """What to do about a key that swallowed its value: YAML wants a plain space after a colon.

    >>> spaced("kind:relu")
    "write 'kind: relu', with a space after the colon"
    """
    name, _, rest = key.partition(":")
    rest = rest.strip(" \u00a0")
    return f"write '{name.strip()}: {rest}', with a space after the colon" if rest else ""
