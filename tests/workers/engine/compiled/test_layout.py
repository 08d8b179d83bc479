"""How weights lie: rows apart where a cache would crowd them, and bits that do not know it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.workers.engine.compiled.starts import CASES, CELLS, STEPS, start_of
from widesweep.workers.engine import matmul, memory_layout
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState

CROWDED = {torch.float64: 256, torch.float32: 512}  # least widths whose rows would be


@pytest.fixture(autouse=True)
def one_core_after() -> Iterator[None]:
    yield
    matmul.set_threads(1)


def batch_of(start: InitialState, rate: float = 0.002) -> Ensemble:
    return start.batch(np.arange(CELLS), rate * (1.0 + np.arange(CELLS)))


def trained(start: InitialState, cores: int, rate: float = 0.002) -> list[Tensor]:
    """Residuals and kernels of some steps, and parameters after them and a stretch."""
    matmul.set_threads(cores)
    batch = batch_of(start, rate)
    seen = batch.steps(start.targets, 5, kernels=True)
    start.training.stepper(batch, start).advance(batch.forward() - start.targets, 5, STEPS)
    return [*seen, *batch.trained.tensors, batch.forward()]


@pytest.mark.parametrize("dtype", CROWDED)
def test_rows_of_a_crowded_width_are_moved_apart(dtype: torch.dtype) -> None:
    """In a batch, what is kept of it, its copy, an optimiser's arrays; of another width they adjoin."""
    for width, gap in ((CROWDED[dtype], memory_layout.GAP), (CROWDED[dtype] - 8, 0)):
        start = start_of(CASES["relu"], width=width, dtype=dtype)
        batch = batch_of(start)
        copied = batch.copied()
        batch.keep(torch.tensor([0, 2]))
        for each in (copied.weights, batch.weights, batch.zeros().weights):
            assert each[1] is not None
            assert each[1].stride(1) * dtype.itemsize == width * dtype.itemsize + gap


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("dtype", CROWDED)
def test_gaps_change_no_bit(dtype: torch.dtype, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, kernels, a stretch and biases; negative control: a rate off by 1e-4 changes all of them."""
    start = start_of(CASES["biases"], 1, 9, CROWDED[dtype], dtype)
    with_gaps, off = trained(start, cores), trained(start, cores, rate=0.002 * (1 + 1e-4))
    monkeypatch.setattr(memory_layout, "GAP", 0)
    without = trained(start, cores)
    assert without[3].stride(1) < with_gaps[3].stride(1)
    for one, other, control in zip(with_gaps, without, off, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, control)
