"""A compiled sync step: what torch computes, and bits that depend on neither company nor cores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tolerances import EXACT
from tests.workers.blocks import block, sphere
from tests.workers.engine.compiled.starts import CASES, CELLS, start_of
from widesweep.workers.engine import matmul
from widesweep.workers.engine.compiled import sync_step
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.tangent_kernels import tangent_kernel
from widesweep.workers.measurements import MADE_AT_A_SYNC_STEP, MEASUREMENTS, needs
from widesweep.workers.measurements.record import Record
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import GradientDescent, Stepper
from widesweep.workers.training.block_training import run


@pytest.fixture(autouse=True)
def one_core_after() -> Iterator[None]:
    yield
    matmul.set_threads(1)


def looked(
    start: InitialState, cells: tuple[int, ...] = tuple(range(CELLS)), *, early: bool, torch_s: bool
) -> list[Tensor]:
    """Outputs, kernel, and parameters after a step, which comes before the kernel or after it."""
    batch = start.batch(np.array(cells), 0.02 * (1.0 + np.array(cells)))
    batch.is_compiled = batch.is_compiled and not torch_s
    residual, kernel = batch.forward() - start.targets, None
    if not early:
        kernel = tangent_kernel(batch)
    batch.step(residual)
    if kernel is None:
        kernel = tangent_kernel(batch)
    return [batch.outputs, kernel, *batch.trained.tensors]


@pytest.mark.parametrize("samples", [5, 9])
@pytest.mark.parametrize(
    ("name", "outputs"), [*((n, 1) for n in CASES), ("biases", 3), ("linear, centred", 3)]
)
def test_it_computes_what_torch_computes(name: str, samples: int, outputs: int) -> None:
    """In either order of step and kernel, of which several outputs have one alone; the weights do move."""
    start = start_of(CASES[name], outputs, samples)
    assert sync_step.computes(start.ensemble)
    by_torch = looked(start, early=False, torch_s=True)
    for early in (False, True)[: 2 if outputs == 1 else 1]:
        for ours, theirs in zip(looked(start, early=early, torch_s=False), by_torch, strict=True):
            assert ours.shape == theirs.shape
            assert float((ours - theirs).abs().max()) < EXACT
    moved = zip(by_torch[2:], start.batch(np.arange(CELLS), np.zeros(CELLS)).trained.tensors, strict=True)
    assert any(float((one - other).abs().max()) > 1e-3 for one, other in moved)


def test_points_of_their_own_are_seen() -> None:
    """A view with other points for each cell, as minibatches have: outputs and kernels as torch has them."""
    start = start_of(CASES["biases"])
    batch = start.batch(np.arange(CELLS), np.full(CELLS, 0.02))
    views = [batch.at(torch.stack([start.points.x[[k, 4]] for k in range(CELLS)])) for _ in range(2)]
    views[1].is_compiled = False
    outputs, kernels = ([of(view) for view in views] for of in (Ensemble.forward, tangent_kernel))
    assert float((outputs[0] - outputs[1]).abs().max()) < EXACT
    assert float((kernels[0] - kernels[1]).abs().max()) < EXACT
    assert float((kernels[0][0] - kernels[0][1]).abs().max()) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("width", "samples"), [(7, 5), (200, 33)])
def test_bits_know_neither_company_nor_cores(width: int, samples: int, dtype: torch.dtype) -> None:
    """Each cell alone, on one core and on three, as in the batch; another seed differs."""
    start = start_of(CASES["biases"], 1, samples, width, dtype)
    together = looked(start, early=True, torch_s=False)
    for cell in range(CELLS):
        for cores in (1, 3):
            matmul.set_threads(cores)
            alone = looked(start, (cell,), early=cores == 3, torch_s=False)
            for whole, own in zip(together, alone, strict=True):
                assert torch.equal(whole[cell], own[0])
                assert not torch.equal(whole[cell - 1], own[0])
        matmul.set_threads(1)


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_steps_at_once_are_single_sync_steps_to_the_bit(name: str, dtype: torch.dtype, cores: int) -> None:
    """Residuals, kernels and the parameters after, with kernels or without; one step less differs."""
    matmul.set_threads(cores)
    start = start_of(CASES[name], samples=9, width=200, dtype=dtype)
    batches = [start.batch(np.arange(CELLS), 0.002 * (1.0 + np.arange(CELLS))) for _ in range(4)]
    singles = []
    for _ in range(4):
        residual = batches[0].forward() - start.targets
        singles.append((residual, tangent_kernel(batches[0])))
        batches[0].step(residual)
    residuals, kernels = batches[1].steps(start.targets, 4, kernels=True)
    alone, none = batches[2].steps(start.targets, 4, kernels=False)
    assert kernels is not None
    assert none is None
    assert torch.equal(residuals, torch.stack([r for r, _ in singles]))
    assert torch.equal(kernels, torch.stack([g for _, g in singles]))
    assert torch.equal(alone, residuals)
    batches[3].steps(start.targets, 3, kernels=True)
    for one, other, third, less in zip(*(b.trained.tensors for b in batches), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)
        assert not torch.equal(one, less)


def test_a_kernel_is_symmetric_to_the_bit() -> None:
    kernel = looked(start_of(CASES["relu"], samples=33), early=False, torch_s=False)[1]
    assert torch.equal(kernel, kernel.mT)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_what_a_look_has_made_is_all_that_some_measurements_read(name: str) -> None:
    """With parameters that are no numbers any more: those measure the same, all others are seen to fail."""
    start = start_of(FullyConnected(weight_variance=2.0), samples=4)
    start.training = GradientDescent(steps=2, measure=(name,))
    x, y = start.points.x, start.points.y
    start.points = Points(x, y, x[:2], y[:2])
    batch = start.batch(np.arange(CELLS), np.full(CELLS, 0.02))
    residual = batch.forward() - start.targets
    measurement = MEASUREMENTS[name]
    before = measurement.measure(Record(batch, residual, start, 0))
    tangent_kernel(batch)
    for parameter in batch.trained.tensors:
        parameter.fill_(float("nan"))
    try:
        after = measurement.measure(Record(batch, residual, start, 0))
    except RuntimeError:  # no eigenvalues of what is no number
        after = None
    same = after is not None and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert same == (not measurement.reads_weights)
    assert measurement.reads_weights == bool(set(needs((name,))) - MADE_AT_A_SYNC_STEP)


def test_a_step_before_the_kernel_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """All measurements of a run that is recorded at every step, with and without early steps."""
    training = GradientDescent(steps=6, records=7, measure=tuple(MEASUREMENTS))
    b, data = block(FullyConnected(weight_variance=2.0), training=training), sphere(test_samples=3)
    early, requested = run(b, data), []
    stepper = GradientDescent.stepper

    def without_step_arrays(self: GradientDescent, ensemble: Ensemble, start: InitialState) -> Stepper:
        made = stepper(self, ensemble, start)
        keeps = property(lambda _: requested.append(1))
        made.__class__ = type("Late", (type(made),), {"keeps_step_arrays": keeps})
        return made

    monkeypatch.setattr(GradientDescent, "stepper", without_step_arrays)
    late = run(b, data)
    assert requested
    for name in early.data_vars:
        np.testing.assert_allclose(early[name], late[name], rtol=EXACT, atol=EXACT, err_msg=name)
