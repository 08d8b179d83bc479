"""A segment of gradient descent between two sync steps, compiled: each cell takes all its steps in turn.

During a segment a cell's weights and the arrays of a step stay in its core's cache, and nothing is
dispatched; a layer's weights are moved right after the cotangents below it are carried through them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from widesweep.workers.engine import matmul
from widesweep.workers.engine.batch import Batch
from widesweep.workers.engine.compiled.forward_backward import (
    ACTIVATION,
    BY_SAMPLE,
    COTANGENT,
    FAN_OUT,
    Table,
    Tables,
    backward,
    cores_for,
    empty,
    first_cell,
    forward,
    next_cell,
    wait,
)
from widesweep.workers.engine.compiled.jit import entry, numbers, part

LEAST_SHARE = 4_000_000  # multiplications of a step for which it is worth to call another core


@functools.cache
def load(dtype: np.dtype) -> None:
    """Compiles it for numbers of a type, or reads it from the cache: what is done once in a process."""
    none = np.zeros(0, dtype=dtype)
    _compiled()(empty(dtype), 0, none, none[:, None], none)


def descend(ensemble: Batch, targets: Tensor, steps: int) -> None:
    """Steps of gradient descent, W_h ← W_h − η s_h A_{h−1}ᵀ D_h with D_h carried from r = αf − y, in place.

    Within `in_input_space` the first layer is updated in the samples' space. The batch's activations and
    outputs are lost.

    Args:
        ensemble: one that `forward_backward.fits`, after its forward pass.
        targets: y, shape (n·K,), sample-major.
        steps: how many; 0 does nothing.
    """
    y, weights = targets.numpy(), sum(layer.fan_in * layer.fan_out for layer in ensemble.layers)
    offset = ensemble.offset if ensemble.offset is not None else targets.new_zeros((len(ensemble), 0))
    rates, centre = ensemble.learning_rates.flatten().numpy(), offset.contiguous().numpy()
    cores, compiled = cores_for(3 * ensemble.x.shape[1] * weights, LEAST_SHARE), _compiled()
    tables = Tables(ensemble, ensemble.room_for_cotangents.layers, cores, each_cell=False)
    matmul.on_each(cores, lambda core: compiled(tables.each[core], steps, y, centre, rates))


@functools.cache
def _compiled() -> Callable[..., None]:
    return entry(_keyed)


def _keyed(sources: str) -> Callable[..., None]:
    """`_descend` for Python, compiled for these sources."""

    def descend(*arguments: Any) -> None:
        if sources:
            _descend(*arguments)

    return descend


@part
def _descend(
    tables: Table,
    steps: int,
    targets: np.ndarray,
    offset: np.ndarray,
    learning_rates: np.ndarray,
) -> None:
    """One core's part of every cell's steps; what is between the weights takes the room of the first cell."""
    table, moves = first_cell(tables), steps > 0
    for cell in range(len(learning_rates)):
        for _ in range(steps):
            forward(table)
            if table.core == 0:
                centre = offset[cell] if offset.shape[1] else targets[:0]
                _residual(table, targets, centre, learning_rates[cell])
            wait(table)
            backward(table, targets[:0], moves)
        next_cell(table)


@part
def _residual(table: Table, targets: np.ndarray, centre: np.ndarray, learning_rate: float) -> None:
    """D of the outputs, η α (αz − centre − y), by features and by samples."""
    layers, scales, samples = table.layers, table.scales, table.samples
    last, count = len(layers) - 1, len(targets)
    outputs = numbers(layers[last, ACTIVATION], count, scales)
    by_features = numbers(layers[last, COTANGENT], count, scales)
    by_samples = numbers(layers[last, BY_SAMPLE], count, scales)
    several = layers[last, FAN_OUT]
    for i in range(samples):
        for a in range(several):
            k = i * several + a
            residual = outputs[a * samples + i] * table.output_scale - targets[k]
            if len(centre):
                residual -= centre[k]
            by_samples[k] = residual * learning_rate * table.output_scale
            by_features[a * samples + i] = by_samples[k]
