"""What one cell costs: operations of its steps and records, and the memory that it needs."""

from __future__ import annotations

import numpy as np

from widesweep.workers import measurements
from widesweep.workers.data import Dimensions
from widesweep.workers.engine.sync_steps import SHORTEST_UPDATE, segment_lengths
from widesweep.workers.measurements import quantities
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers.optimizer import Training

COMPILED = (
    "relu",
    "linear",
)  # activations of compiled passes; a plan loads no torch to ask them


def step_flops(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> float:
    """Floating-point operations of one step of a cell under its optimiser, at a sync step."""
    gradient = network.step_flops(width, depth, size.samples, size.inputs, size.outputs)
    return training.gradients_per_step(size.samples) * gradient


def steps_flops(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> float:
    """Floating-point operations of all steps of a cell.

    Descent computes nothing between two sync steps that need not be: layers below the lowest that trains
    stay, and a first layer that trains is updated in the samples' space, where a step takes one product of
    n·n·m, and the segment two of n·d·m to begin and to end. A sync step before a segment of several
    steps has a forward pass of its own.

    >>> from widesweep.workers.networks import RandomFeatures
    >>> from widesweep.workers.optimizers import GradientDescent
    >>> size, training = Dimensions(samples=8, inputs=16), GradientDescent(steps=320, records=2)
    >>> one = step_flops(RandomFeatures(), training, 64, 1, size)
    >>> steps_flops(RandomFeatures(), training, 64, 1, size) < 0.3 * 320 * one
    True
    """
    at_sync_step = step_flops(network, training, width, depth, size)
    if not training.skips_between_sync_steps:
        return training.steps * at_sync_step
    lengths = segment_lengths(training.recorded_steps()).astype(np.float64)
    layers = network.layers(width, depth, size.inputs, size.outputs)
    lowest = next(h for h, layer in enumerate(layers) if layer.trains)
    between = at_sync_step - sum(_forward(layer, size) for layer in layers[:lowest])
    several = lengths[lengths > 1.0]
    forward = sum(_forward(layer, size) for layer in layers)
    flops = (
        (len(lengths) - len(several)) * at_sync_step + float(several.sum()) * between + len(several) * forward
    )
    if lowest or size.samples > layers[0].fan_in or layers[0].branches or network.takes_images:
        return flops
    updated = lengths[lengths >= SHORTEST_UPDATE]
    saved = 2.0 * _forward(layers[0], size) - 2.0 * size.samples**2 * layers[0].fan_out
    return flops - saved * float(updated.sum()) + 2.0 * _forward(layers[0], size) * len(updated)


def _forward(layer: Layer, size: Dimensions) -> float:
    return 2.0 * size.samples * layer.pixels * layer.fan_in * layer.fan_out


def record_flops(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> float:
    """Floating-point operations of one record of a cell: of what it measures, and of nothing else.

    >>> from widesweep.workers.networks import TwoLayer
    >>> from widesweep.workers.optimizers import GradientDescent
    >>> size = Dimensions(samples=8, inputs=4)
    >>> record_flops(TwoLayer(), GradientDescent(steps=1, measure=("loss",)), 16, 1, size)
    0.0
    """
    needs = measurements.needs(training.measure)
    return float(quantities.flops(needs, _sizes(network, width, depth, size)))


def record_vector_flops(
    network: Network, training: Training, width: int, depth: int, size: Dimensions
) -> float:
    """Those of them that are bound by memory rather than by arithmetic."""
    needs = measurements.needs(training.measure)
    return float(quantities.vector_flops(needs, _sizes(network, width, depth, size)))


def has_compiled_passes(network: Network, width: int, depth: int, size: Dimensions) -> bool:
    """Whether a CPU has machine code for what its sync steps compute, as `compiled.sync_step` does."""
    layers = network.layers(width, depth, size.inputs, size.outputs)
    return (
        network.activation in COMPILED
        and not network.takes_images
        and not any(layer.branches for layer in layers)
    )


def is_compiled(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> bool:
    """Whether a CPU takes its steps between two sync steps in machine code, as `compiled.segment` does."""
    squared = training.loss == "squared"
    return squared and training.skips_between_sync_steps and has_compiled_passes(network, width, depth, size)


def memory_bytes(network: Network, training: Training, width: int, depth: int, size: Dimensions) -> int:
    """Peak memory of a cell: training, the optimiser's own arrays, and what a record holds."""
    itemsize = training.itemsize
    own = training.parameter_arrays * network.parameters(width, depth, size.inputs, size.outputs)
    held = quantities.values(measurements.needs(training.measure), _sizes(network, width, depth, size))
    trained = network.memory_bytes(width, depth, size.samples, size.inputs, itemsize, size.outputs)
    return trained + itemsize * (own + int(held))


def _sizes(network: Network, width: int, depth: int, size: Dimensions) -> quantities.Sizes:
    layers = network.layers(width, depth, size.inputs, size.outputs)
    return quantities.Sizes(layers, size.samples, size.test_samples)
