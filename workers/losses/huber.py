"""Huber's loss: squared near the label, linear far from it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from widesweep.workers.losses.loss_function import Loss

if TYPE_CHECKING:
    from torch import Tensor


def value(f: Tensor, y: Tensor, *, width: float) -> Tensor:
    """½d² for |d| ≤ δ, δ|d| − ½δ² beyond, d = f − y."""
    near = (f - y).abs().clamp(max=width)
    return near * ((f - y).abs() - 0.5 * near)


def derivative(f: Tensor, y: Tensor, *, width: float) -> Tensor:
    """f − y, at most δ in size."""
    return (f - y).clamp(-width, width)


@functools.cache
def loss(width: float) -> Loss:
    """Huber's loss.

    Args:
        width: δ > 0, from where it is linear.

    Source: Huber 1964, Robust Estimation of a Location Parameter.
    """
    return Loss(
        functools.partial(value, width=width), functools.partial(derivative, width=width), name="huber"
    )


LOSS = loss(1.0)
