"""What each measurement costs: one record of it alone, in steps of training of the same batch.

From the repository's root: python -m benchmarks.measurements
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from widesweep.workers.data import Data, DataConfig, Dimensions, load
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.measurements import DEFAULT, MEASUREMENTS
from widesweep.workers.measurements.record import Record
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training import costs

NETWORK = FullyConnected(weight_variance=2.0)
CPU = torch.device("cpu")
DEPTH, CELLS, TEST_SAMPLES = 2, 4, 16
PAIRS, LOOKS, STEPS = 5, 6, 30
CHOICES = {
    "nothing": (),
    **{name: (name,) for name in MEASUREMENTS},
    "the default: " + ", ".join(DEFAULT): DEFAULT,
    "all of them": tuple(MEASUREMENTS),
}


@dataclass(frozen=True)
class Shape:
    """A column of the table: width, samples, and one output or the ten classes of the digits."""

    width: int
    samples: int
    labels: str = "parity"

    @property
    def data(self) -> Data:
        """Its points."""
        return load(DataConfig(samples=self.samples, test_samples=TEST_SAMPLES, labels=self.labels))

    def __str__(self) -> str:
        """The column's head."""
        outputs = "10 outputs" if self.labels == "class" else "1 output"
        return f"width {self.width}, {self.samples} samples, {outputs}"


SHAPES = (Shape(64, 16), Shape(256, 32), Shape(1024, 64), Shape(256, 16, "class"))


def started(data: Data, width: int, names: tuple[str, ...]) -> InitialState:
    """Four networks of one width at step 0."""
    layers = NETWORK.layers(width, DEPTH, data.x.shape[1], data.outputs)
    coordinates = [(0, width, DEPTH, seed) for seed in range(CELLS)]
    parameters = [initial_parameters(layers, each, torch.float64, CPU) for each in coordinates]
    points = (torch.as_tensor(p) for p in (data.x, data.y.ravel(), data.test_x, data.test_y.ravel()))
    training = GradientDescent(steps=STEPS, measure=names or DEFAULT)
    return InitialState(NETWORK, training, layers, coordinates, parameters, Points(*points))


def look(batch: Ensemble, start: InitialState, names: tuple[str, ...] = ()) -> None:
    """A look at a batch, with a record of these measurements."""
    residual = batch.forward() - start.targets
    record = Record(batch, residual, start, 1)
    for name in names:
        MEASUREMENTS[name].measure(record)


def train(batch: Ensemble, start: InitialState) -> None:
    """Steps of gradient descent between two sync steps."""
    residual = batch.forward() - start.targets
    start.training.stepper(batch, start).advance(residual, 0, STEPS)


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measured(data: Data, width: int, names: tuple[str, ...]) -> tuple[float, float, float]:
    """Median, least and largest (time of a look with a record − of one without) / step, over paired runs."""
    start = started(data, width, names)
    batch = start.batch(np.arange(CELLS), np.full(CELLS, 1e-9))
    with_record, without = partial(look, batch, start, names), partial(look, batch, start)
    steps = partial(train, batch, start)
    with_record(), steps()  # what a start computes once is not a record's
    ratios = []
    for _ in range(PAIRS):
        record_s = sum(seconds(with_record) - seconds(without) for _ in range(LOOKS)) / LOOKS
        ratios.append(record_s / (seconds(steps) / STEPS))
    return float(np.median(ratios)), min(ratios), max(ratios)


def counted(data: Data, width: int, names: tuple[str, ...]) -> float:
    """Operations of a record in those of a step, as the plan counts them."""
    if not names:
        return 0.0
    training = GradientDescent(steps=STEPS, measure=names)
    size = Dimensions(*data.x.shape, data.outputs, len(data.test_x))
    cell = (NETWORK, training, width, DEPTH, size)
    return costs.record_flops(*cell) / costs.step_flops(*cell)


def section() -> str:
    """The table as Markdown, one row for each measurement."""
    torch.set_num_threads(1)
    lines = [("measured", *map(str, SHAPES)), ("---",) * (1 + len(SHAPES))]
    points = {shape: shape.data for shape in SHAPES}
    for label, names in CHOICES.items():
        cells = []
        for shape, data in points.items():
            middle, low, high = measured(data, shape.width, names)
            operations = counted(data, shape.width, names)
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f}); {operations:.2g}")
        lines.append((label, *cells))
    head = (
        "## What a measurement costs\n\n"
        f"One record in steps of training: median of {PAIRS} paired runs (least to largest), then the\n"
        f"operations of a record in those of a step. {CELLS} cells of depth {DEPTH}, float64, one core;\n"
        f"steps as they are between two sync steps, in segments of {STEPS}.\n"
        "What is not asked for costs nothing: the first row is the noise of the others.\n\n"
    )
    return head + "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(section())
