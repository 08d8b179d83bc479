"""What one cell costs: operations of its steps and records, and the memory that it needs."""

from __future__ import annotations

from workers import observables
from workers.data import Dimensions
from workers.networks.base import Network
from workers.observables import cost
from workers.optimizers.base import Training


def step_flops(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> float:
    """Floating-point operations of one step of a cell under its optimiser."""
    gradient = network.step_flops(width, depth, size.samples, size.inputs, size.outputs)
    return training.gradients_per_step(size.samples) * gradient


def record_flops(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> float:
    """Floating-point operations of one record of a cell: of what it measures, and of nothing else.

    >>> from workers.networks import TwoLayer
    >>> from workers.optimizers import GradientDescent
    >>> size = Dimensions(samples=8, inputs=4)
    >>> record_flops(TwoLayer(), GradientDescent(steps=1, measure=("loss",)), 16, 1, size)
    0.0
    """
    needs = observables.needs(training.measure)
    return float(cost.flops(needs, _sizes(network, width, depth, size)))


def memory_bytes(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> int:
    """Peak memory of a cell: training, the optimiser's own arrays, and what a record holds."""
    itemsize = training.itemsize
    own = training.parameter_arrays * network.parameters(width, depth, size.inputs, size.outputs)
    held = cost.values(observables.needs(training.measure), _sizes(network, width, depth, size))
    trained = network.memory_bytes(width, depth, size.samples, size.inputs, itemsize, size.outputs)
    return trained + itemsize * (own + int(held))


def _sizes(network: Network, width: int, depth: int, size: Dimensions) -> cost.Sizes:
    layers = network.layers(width, depth, size.inputs, size.outputs)
    return cost.Sizes(layers, size.samples, size.test_samples)
