"""The logistic loss of labels ±1.

Made of exponentials alone: torch's sigmoid and softplus round the last few numbers of an array differently,
so that a network's bits would depend on its place in the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from widesweep.workers.losses.loss_function import Loss

if TYPE_CHECKING:
    from torch import Tensor


def value(f: Tensor, y: Tensor) -> Tensor:
    """log(1 + e^{−yf})."""
    z = y * f
    return (-z).clamp(min=0.0) + (-z.abs()).exp().log1p()


def derivative(f: Tensor, y: Tensor) -> Tensor:
    """−y/(1 + e^{yf})."""
    z = y * f
    small = (-z.abs()).exp()
    return -y * small.where(z > 0.0, 1.0) / (1.0 + small)


def _refuse(y: np.ndarray) -> str:
    others = np.unique(y[np.abs(y) != 1.0])
    return f"the logistic loss takes labels −1 and 1, and one is {others[0]:g}" if others.size else ""


LOSS = Loss(value, derivative, _refuse, name="logistic")
