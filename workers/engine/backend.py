"""What computes a batch's passes: compiled loops, or plain torch, which can take their place on a CPU too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from widesweep.workers.engine import matmul
from widesweep.workers.engine.batch import Batch
from widesweep.workers.engine.compiled import forward_backward

BackendName = Literal["compiled", "torch"]


@dataclass(frozen=True)
class Backend:
    """What a batch asks of whatever computes it.

    Attributes:
        has_loops: whether whole passes of a batch are machine code; otherwise torch computes them.
        multiply: (a, b, out, α, β): out ← α a b + β out, for each matrix of a batch.
    """

    has_loops: Callable[[Batch], bool]
    multiply: Callable[[Tensor, Tensor, Tensor, float, float], None]


def _by_torch(a: Tensor, b: Tensor, out: Tensor, alpha: float, beta: float) -> None:
    torch.baddbmm(out, a, b, beta=beta, alpha=alpha, out=out)


BACKENDS: dict[BackendName, Backend] = {
    "compiled": Backend(forward_backward.fits, matmul.multiply),  # loops where a CPU has them for a batch
    "torch": Backend(lambda batch: False, _by_torch),  # the reference, on every device
}
