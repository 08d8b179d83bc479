"""Checkpoints: a block that ends in the middle goes on from any flush to the bits of an undisturbed one."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.workers.blocks import block, sphere
from widesweep.workers.data import Data, DataConfig, load
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.networks import FullyConnected, RandomFeatures, ResNet
from widesweep.workers.optimizers import (
    GradientDescent,
    GradientFlow,
    Langevin,
    Nesterov,
    StochasticGradientDescent,
)
from widesweep.workers.training import block_training, checkpoint
from widesweep.workers.training.block_training import TrainingBlock, run

DEADLINE_S = 240.0
OPTIMIZERS = [
    GradientDescent(steps=70, records=9),
    GradientDescent(steps=70, records=9, dtype="float32"),
    StochasticGradientDescent(steps=70, records=9, batch_size=2),
    Nesterov(steps=70, records=9),
    Langevin(steps=70, records=9, temperature=1e-3),
    GradientFlow(steps=70, records=9, tolerance=1e-6),
]


class Kept:
    """Keeps every flush; is due at every sync step, or at those of the given numbers."""

    def __init__(self, *sync_steps: int) -> None:
        self.sync_steps, self.seen = sync_steps, 0
        self.flushes: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []

    def due(self) -> bool:
        self.seen += 1
        return not self.sync_steps or self.seen in self.sync_steps

    def write(self, results: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> None:
        self.flushes.append((results, {name: values.copy() for name, values in arrays.items()}))


def assert_same(a: Any, b: Any) -> None:
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name], b[name], err_msg=str(name))


def checked_from_every_flush(b: TrainingBlock, data: Data, **changes: Any) -> int:
    calm, kept = run(b, data), Kept()
    assert_same(run(b, data, kept), calm)
    for _, arrays in kept.flushes:
        assert_same(run(replace(b, **changes), data, checkpoint=arrays), calm)
    return len(kept.flushes)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{o.optimizer}-{o.dtype}")
def test_every_flush_leads_to_the_same_bits(optimizer: Any) -> None:
    """At every sync step of every optimiser: what goes on from there ends like an undisturbed run."""
    b = block(FullyConnected(activation="tanh"), width=9, training=optimizer)
    assert checked_from_every_flush(b, sphere()) >= 9


@pytest.mark.parametrize(
    "network",
    [FullyConnected(centered=True, output_scale=2.0, bias_variance=0.1), RandomFeatures(), ResNet()],
    ids=lambda n: n.kind,
)
def test_every_measurement_goes_on_too(network: Any) -> None:
    """All measurements, centred networks, biases, layers that do not train."""
    data = load(DataConfig(source="sphere", samples=5, test_samples=3, inputs=4, seed=3))
    training_ = GradientDescent(steps=40, records=5, measure=tuple(MEASUREMENTS))
    b = block(network, width=8, depth=1 if network.allowed_depths() else 2, training=training_)
    checked_from_every_flush(b, data)


def test_cells_that_left_stay_away() -> None:
    """A diverged cell and one at the rounding floor are in no later flush's states."""
    b = block(
        FullyConnected(activation="linear"),
        training=GradientDescent(steps=3000, records=8),
        learning_rates=(0.05, 40.0),
        learning_rates_absolute=(0.2, 40.0),
    )
    kept = Kept()
    calm = run(b, sphere(), kept)
    assert sorted(np.unique(calm["status"])) == [1, 2]
    inside = [len(arrays["cells"]) for _, arrays in kept.flushes]
    assert inside[0] == 4
    assert 2 in inside
    for _, arrays in kept.flushes[::40]:
        assert_same(run(b, sphere(), checkpoint=arrays), calm)


def test_a_checkpoint_may_go_on_in_other_batches() -> None:
    """Single cells, and two threads, go on from the checkpoint of one large batch to the same bits."""
    b = block(FullyConnected(), width=9, seeds=(0, 3, 5), training=Nesterov(steps=40, records=6))
    checked_from_every_flush(b, sphere(), split=4)
    checked_from_every_flush(b, sphere(), threads=2)


def test_batches_in_two_threads_leave_their_states_together() -> None:
    """Two threads, several batches each: one flush holds the states of both, at steps of their own."""
    b = block(FullyConnected(), width=9, seeds=tuple(range(6)), threads=2, split=1,
              training=GradientDescent(steps=3000, records=20))  # fmt: skip
    calm, kept = run(b, sphere()), Kept()
    assert_same(run(b, sphere(), kept), calm)
    sizes = {len(np.unique(arrays["cells"])) for _, arrays in kept.flushes}
    assert 12 in sizes  # both batches
    for _, arrays in kept.flushes[:: max(1, len(kept.flushes) // 5)]:
        assert_same(run(b, sphere(), checkpoint=arrays), calm)


def test_states_come_back_in_the_order_of_the_cells() -> None:
    """Whichever batch left its state first: here the second did, and both go on from the same step as one."""
    b = block(FullyConnected(), width=9, seeds=(0, 3, 5, 7), training=Nesterov(steps=40, records=6))
    calm, kept = run(b, sphere()), Kept()
    run(b, sphere(), kept)
    arrays = kept.flushes[len(kept.flushes) // 2][1]
    turned = np.roll(np.arange(len(arrays["cells"])), 3)
    other = {
        name: values[turned] if name == "cells" or name.startswith("state.") else values
        for name, values in arrays.items()
    }
    assert (other["cells"] != arrays["cells"]).all()
    assert_same(run(b, sphere(), checkpoint=other), calm)


def test_an_interrupt_flushes_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted caller gets KeyboardInterrupt after a last flush, from which the bits are the same."""
    b = block(FullyConnected(), width=9, training=GradientDescent(steps=3000, records=9))
    calm, kept = run(b, sphere()), Kept(10**9)
    record, stop, main = block_training.Record, block_training.Ledger.stop, threading.get_ident()

    def stopping(ledger: block_training.Ledger, *, flush: bool) -> None:
        stop(ledger, flush=flush)
        end.set()

    def interrupting(ensemble: Any, residual: Any, start: Any, step: int, kernel: Any) -> Any:
        if step == b.steps[4]:
            signal.pthread_kill(main, signal.SIGINT)
            end.wait(DEADLINE_S)
        return record(ensemble, residual, start, step, kernel)

    end = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's ignores it
    with monkeypatch.context() as patch:
        patch.setattr(block_training, "Record", interrupting)
        patch.setattr(block_training.Ledger, "stop", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(b, sphere(), kept)
    signal.signal(signal.SIGINT, before)
    assert len(kept.flushes) == 1
    assert (kept.flushes[0][1]["steps"] != checkpoint.FINISHED).all()
    assert_same(run(b, sphere(), checkpoint=kept.flushes[0][1]), calm)


def test_an_interrupt_while_a_batch_is_submitted_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come before the pool knows the thread it started; `run` still ends after the flush."""
    b = block(FullyConnected(), width=9, training=GradientDescent(steps=3000, records=9))
    calm, kept = run(b, sphere()), Kept(10**9)
    record, stop = block_training.Record, block_training.Ledger.stop
    begun, stopped = threading.Event(), threading.Event()

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *args: Any, **options: Any) -> Any:
            super().submit(*args, **options)
            assert begun.wait(DEADLINE_S)
            raise KeyboardInterrupt

        def __exit__(self, *error: object) -> None:
            self.shutdown(wait=False)

    def recording(ensemble: Any, residual: Any, start: Any, step: int, kernel: Any) -> Any:
        begun.set()
        assert stopped.wait(DEADLINE_S)
        return record(ensemble, residual, start, step, kernel)

    def stopping(ledger: block_training.Ledger, *, flush: bool) -> None:
        stop(ledger, flush=flush)
        stopped.set()

    with monkeypatch.context() as patch:
        patch.setattr(block_training, "ThreadPoolExecutor", Interrupted)
        patch.setattr(block_training, "Record", recording)
        patch.setattr(block_training.Ledger, "stop", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(b, sphere(), kept)
    assert len(kept.flushes) == 1
    assert_same(run(b, sphere(), checkpoint=kept.flushes[0][1]), calm)


def test_no_memory_is_one_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever torch raises when memory runs out is a MemoryError; other defects keep their type."""
    for raised, wanted in (
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            MemoryError,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError),
        (RuntimeError("shapes do not match"), RuntimeError),
    ):

        def fail(*_: Any, raised: Exception = raised, **__: Any) -> None:
            raise raised

        monkeypatch.setattr(block_training, "Record", fail)
        with pytest.raises(wanted):
            run(block(FullyConnected()), sphere())


def test_a_state_left_out_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: Nesterov without its movement in the checkpoint ends in other bits."""
    real = Nesterov.stepper

    def stepper(self: Nesterov, ensemble: Any, start: Any) -> Any:
        made = real(self, ensemble, start)
        made.__class__ = type("Forgetful", (type(made),), {"state": property(lambda self: [])})
        return made

    monkeypatch.setattr(Nesterov, "stepper", stepper)
    b = block(FullyConnected(), width=9, training=Nesterov(steps=70, records=9))
    with pytest.raises(AssertionError):
        checked_from_every_flush(b, sphere())
