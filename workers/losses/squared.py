"""The squared loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widesweep.workers.losses.loss_function import Loss

if TYPE_CHECKING:
    from torch import Tensor


def value(f: Tensor, y: Tensor) -> Tensor:
    """½(f − y)²."""
    return 0.5 * (f - y).square()


def derivative(f: Tensor, y: Tensor) -> Tensor:
    """f − y."""
    return f - y


LOSS = Loss(value, derivative, name="squared")
