"""Losses of one's own, as a user writes them."""

from __future__ import annotations

from torch import Tensor


def log_cosh(f: Tensor, y: Tensor) -> Tensor:
    return (f - y).cosh().log().sum(-1)


def whole(f: Tensor, y: Tensor) -> Tensor:
    return (f - y).square().sum()


def infinite(f: Tensor, y: Tensor) -> Tensor:
    return (f * 0.0).log().sum(-1)
