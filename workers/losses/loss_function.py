"""A loss: its value, its derivative by the outputs, and the labels that it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Form = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class Loss:
    """L = Σ_i l(αf(x_i), y_i), summed over samples and never averaged.

    Attributes:
        value: l of outputs f and labels y, both of shape (…, n, K): one number for each sample, (…, n), or
            for each output, (…, n, K). It must treat each network and each sample alone.
        derivative: ∂l/∂f, shape (…, n, K); None: by automatic differentiation of `value`.
        refuse: why labels of shape (n, K) do not suit it, empty where they do; None: all labels do.
        name: for messages.

    >>> import torch
    >>> cubic = Loss(lambda f, y: (f - y).abs() ** 3 / 3)
    >>> f, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0.0, 0.0])
    >>> cubic.residual(f, y, 1), cubic.total(f, y, 1)
    (tensor([[4., 0.]]), tensor([2.6667]))
    """

    value: Form
    derivative: Form | None = None
    refuse: Callable[[np.ndarray], str] | None = None
    name: str = ""

    @property
    def is_squared(self) -> bool:
        """Whether it is ½(f − y)², of which theory speaks and whose steps are compiled."""
        return self.name == "squared"

    def residual(self, outputs: Tensor, targets: Tensor, count: int) -> Tensor:
        """r = ∂L/∂(αf).

        Args:
            outputs: αf, shape (B, n·K), sample-major.
            targets: y, shape (n·K,) or (B, n·K).
            count: K.

        Returns:
            Shape (B, n·K).
        """
        if self.derivative is None:
            return self._differentiated(outputs, targets, count)
        return self.derivative(*_by_sample(outputs, targets, count)).flatten(1)

    def total(self, outputs: Tensor, targets: Tensor, count: int) -> Tensor:
        """L of every network, shape (B,); arguments as of `residual`."""
        return self.value(*_by_sample(outputs, targets, count)).flatten(1).sum(1)

    def objection(self, y: np.ndarray) -> str:
        """Why labels do not suit it, or why it breaks its interface on them; empty where neither is so.

        Args:
            y: labels, shape (n,) or (n, K).
        """
        import torch

        rows = y.reshape(len(y), -1)
        if self.refuse is not None and (found := self.refuse(rows)):
            return found
        outputs, targets = torch.zeros(2, rows.size, dtype=torch.float64), torch.from_numpy(rows.ravel())
        value = self.value(*_by_sample(outputs, targets, rows.shape[1]))
        shapes = ((2, len(rows)), (2, *rows.shape))
        if tuple(value.shape) not in shapes:
            return f"{self.name} gives shape {tuple(value.shape)} for outputs of {shapes[1]}"
        if not bool(value.isfinite().all() & self.residual(outputs, targets, rows.shape[1]).isfinite().all()):
            return f"{self.name} or its derivative is not finite at f = 0"
        return ""

    def _differentiated(self, outputs: Tensor, targets: Tensor, count: int) -> Tensor:
        import torch

        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.total(leaf, targets, count).sum(), leaf)
        return found


def _by_sample(outputs: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    shape = (len(outputs), -1, count)
    return outputs.reshape(shape), targets.expand_as(outputs).reshape(shape)
