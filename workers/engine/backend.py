"""What computes a batch's passes: compiled loops, or plain torch, which can take their place on a CPU too."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

from widesweep.workers.engine import matmul
from widesweep.workers.engine.batch import Batch
from widesweep.workers.engine.compiled import forward_backward

BackendName = Literal["compiled", "torch"]


class Backend(Protocol):
    """What a batch asks of whatever computes it."""

    def has_loops(self, batch: Batch) -> bool:
        """Whether whole passes of this batch are machine code; otherwise torch computes them."""

    def multiply(self, a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
        """out ← α a b + β out, for each matrix of a batch."""


class Compiled:
    """Compiled loops where a CPU has them for a batch, and compiled products on every CPU."""

    def has_loops(self, batch: Batch) -> bool:
        """Where `forward_backward` fits the batch."""
        return forward_backward.fits(batch)

    def multiply(self, a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
        """By `matmul.multiply`."""
        matmul.multiply(a, b, out, alpha, beta)


class PlainTorch:
    """The reference: torch's operations on the whole batch, on every device."""

    def has_loops(self, batch: Batch) -> bool:
        """Never."""
        return False

    def multiply(self, a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
        """By `torch.baddbmm`."""
        torch.baddbmm(out, a, b, beta=beta, alpha=alpha, out=out)


BACKENDS: dict[BackendName, Backend] = {"compiled": Compiled(), "torch": PlainTorch()}
