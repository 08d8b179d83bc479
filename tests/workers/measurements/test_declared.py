"""A measurement reads what its NEEDS declare, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.workers.blocks import block, sphere
from tests.workers.engine.compiled.starts import CASES, CELLS, start_of
from widesweep.workers import measurements
from widesweep.workers.engine.initial_state import Points
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.measurements.declared import READS, UndeclaredReadError
from widesweep.workers.measurements.quantities import QUANTITIES
from widesweep.workers.measurements.record import Record
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.block_training import run


@pytest.fixture
def record() -> Record:
    start = start_of(CASES["biases"])
    x, y = start.points.x, start.points.y
    start.points = Points(x, y, x[:2], y[:2])
    batch = start.batch(np.arange(CELLS), np.full(CELLS, 0.02))
    return Record(batch, batch.forward() - start.targets, start, 0)


def reading(place: str, needs: tuple[str, ...] = ()) -> measurements.Measurement:
    """The loss, after reading something else."""

    def compute(record: Any) -> Any:
        seen = record
        for name in place.split("."):
            seen = getattr(seen, name)
        return MEASUREMENTS["loss"].compute(record)

    return replace(MEASUREMENTS["loss"], name="mine", needs=needs, compute=compute)


@pytest.mark.parametrize("name", READS)
def test_what_is_not_declared_is_refused(name: str, record: Record) -> None:
    """The error names measurement, quantity and remedy, on record and initial state; declared, it opens."""
    seen = 0
    for owner, place in ((record, name), (record.initial, f"initial.{name}")):
        if not hasattr(owner, name):
            continue
        seen += 1
        with pytest.raises(UndeclaredReadError) as error:
            reading(place).measure(record)
        for word in ("'mine'", f"record.{place}", f"Add '{READS[name]}' to NEEDS"):
            assert word in str(error.value)
        assert len(reading(place, (READS[name],)).measure(record)) == 2
    assert seen


def test_every_quantity_that_can_be_read_has_a_cost() -> None:
    """What the error tells to add is a name that the planner knows."""
    assert set(READS.values()) <= set(QUANTITIES)


def test_a_read_of_weights_ends_a_run_of_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps in one go gave such a measurement the weights of another step; now training stops."""
    monkeypatch.setitem(MEASUREMENTS, "loss", reading("ensemble"))
    training = GradientDescent(steps=6, records=7, measure=("loss",))
    with pytest.raises(UndeclaredReadError, match=r"'mine' reads record\.ensemble"):
        run(block(FullyConnected(weight_variance=2.0), training=training), sphere())


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_all_that_come_with_it_declare_what_they_read(name: str, record: Record) -> None:
    """Each measures with a record that opens its own needs alone, and gives one tensor for each variable."""
    measurement = MEASUREMENTS[name]
    assert len(measurement.measure(record)) == len(measurement.variables)
