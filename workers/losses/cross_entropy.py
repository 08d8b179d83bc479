"""The cross-entropy of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from widesweep.workers.losses.loss_function import Loss

if TYPE_CHECKING:
    from torch import Tensor


def value(f: Tensor, y: Tensor) -> Tensor:
    """log Σ_a e^{f_a} − Σ_a y_a f_a of each sample, y one at its class and 0 elsewhere."""
    return f.logsumexp(-1) - (y * f).sum(-1)


def derivative(f: Tensor, y: Tensor) -> Tensor:
    """softmax(f) − y."""
    return f.softmax(-1) - y


def _refuse(y: np.ndarray) -> str:
    if y.shape[1] < 2:
        return "cross_entropy takes classes, one output for each, and the labels are single numbers"
    is_class = ((y == 0.0) | (y == 1.0)).all(axis=1) & (y.sum(axis=1) == 1.0)
    if is_class.all():
        return ""
    wanted = "cross_entropy takes classes, one entry 1 and all others 0"
    return f"{wanted}, and row {int(is_class.argmin())} is none"


LOSS = Loss(value, derivative, _refuse, name="cross_entropy")
