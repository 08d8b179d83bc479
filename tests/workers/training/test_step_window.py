"""Sync steps in one go have the bits of single ones, whichever cells leave and wherever training resumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.workers.blocks import block, sphere
from tests.workers.training.test_checkpoint import assert_same, checked_from_every_flush
from widesweep.workers.measurements import MADE_OF_THE_KERNEL, MEASUREMENTS, needs
from widesweep.workers.networks import FullyConnected, TwoLayer
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training import block_training, step_window
from widesweep.workers.training.block_training import run
from widesweep.workers.variable import DIVERGED

FROM_THE_KERNEL = tuple(name for name, each in MEASUREMENTS.items() if each.reads_the_kernel_alone)
RATES = (0.1, 1.2, 5.0)  # the last two leave the batch within some steps


@pytest.fixture
def steps_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of steps that each group of sync steps took."""
    taken: list[int] = []
    stepper = GradientDescent.stepper

    def counting(self: GradientDescent, ensemble: Any, start: Any) -> Any:
        made = stepper(self, ensemble, start)
        advance = made.advance_recording

        def counted(steps: int, *, kernels: bool) -> Any:
            taken.append(steps)
            return advance(steps, kernels=kernels)

        made.advance_recording = counted
        return made

    monkeypatch.setattr(GradientDescent, "stepper", counting)
    return taken


def recorded_at_every_step(measure: tuple[str, ...] = FROM_THE_KERNEL, **changes: Any) -> Any:
    training = GradientDescent(steps=45, records=46, measure=measure)
    rates = {"learning_rates": RATES, "learning_rates_absolute": RATES}
    return block(FullyConnected(activation="linear"), training=training, **{**rates, **changes})


@pytest.mark.parametrize("measure", [FROM_THE_KERNEL, ("loss",), ("kernel",), ("linearized",)])
def test_they_have_the_bits_of_single_sync_steps(
    measure: tuple[str, ...], steps_at_once: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With cells that diverge in the middle of a run; the records do change from step to step."""
    b, data = recorded_at_every_step(measure), sphere()
    together = run(b, data)
    assert steps_at_once == [32, 13]
    monkeypatch.setattr(block_training, "group_size", lambda *_: 0)
    alone = run(b, data)
    assert steps_at_once == [32, 13]
    assert_same(together, alone)
    assert (together.status.sel(learning_rate=5.0) == DIVERGED).all()
    first = together[next(iter(MEASUREMENTS[measure[0]].variables)).name].sel(learning_rate=0.1)
    assert (np.diff(first, axis=first.dims.index("step")) != 0.0).all()


def test_a_cell_that_reaches_the_floor_repeats_its_record_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a run, and from there on, as with single sync steps."""
    training = GradientDescent(steps=200, records=201, dtype="float32", measure=("loss", "kernel"))
    rate = {"learning_rates": (0.6,), "learning_rates_absolute": (0.6,)}
    b, data = block(TwoLayer(), 64, 1, training=training, **rate), sphere(2, 4)
    together = run(b, data)
    loss = together.loss.isel(seed=0, learning_rate=0).values
    still = int(np.argmax(loss == loss[-1]))
    assert 1 < still % 32 < 31
    assert still < 150
    monkeypatch.setattr(block_training, "group_size", lambda *_: 0)
    assert_same(together, run(b, data))


def test_training_goes_on_from_every_run(steps_at_once: list[int]) -> None:
    """Also in batches of other sizes, whose runs begin elsewhere."""
    b = recorded_at_every_step(seeds=(0, 1, 2))
    assert checked_from_every_flush(b, sphere(), threads=2) >= 2
    assert max(steps_at_once) == 32


def test_many_kernels_are_not_held_at_once(steps_at_once: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a fixed number of bytes; the bits are the same."""
    b, data = recorded_at_every_step(), sphere()
    together = run(b, data)
    cells = len(b.seeds) * len(RATES)
    monkeypatch.setattr(step_window, "KERNELS_BYTES", 7 * cells * 5 * 5 * 8)
    assert_same(together, run(b, data))
    assert steps_at_once[2:] == [7] * 6 + [3]


@pytest.mark.parametrize("measure", [("loss", "drift"), ("kernel", "patterns"), ("layer_kernels",)])
def test_what_reads_more_is_measured_one_sync_step_at_a_time(
    measure: tuple[str, ...], steps_at_once: list[int]
) -> None:
    assert set(needs(measure)) - MADE_OF_THE_KERNEL
    run(recorded_at_every_step(measure), sphere())
    assert not steps_at_once
