"""A stretch of gradient descent between two looks, compiled: one cell after another, each all its steps.

Through a stretch a cell's weights and the arrays of a step stay in its core's cache, and nothing is
dispatched. Numba compiles it at its first use on a machine, some seconds, and keeps it in its cache.

What belongs to samples lies by features (`aligned.by_feature`): A_hᵀ and D_hᵀ, shape (fan_out, n). Both
passes read each weight once, for all samples, and each of several cores has its own features. A layer's
weights are moved in slabs right after the cotangents below it are carried, while they are in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from workers import products
from workers.compiled.calls import entry, meet, numbers, part
from workers.compiled.nest import Matrix, product, product_at, share
from workers.compiled.tile import ROWS
from workers.compiled.transposition import transpose
from workers.products import NUMBERS

if TYPE_CHECKING:
    from workers.ensemble import Ensemble

# Columns of the tables of layers: sizes, addresses, distances between cells in numbers; and scales.
FAN_IN, FAN_OUT, TRAINS, WEIGHT, WEIGHT_CELL, BIAS, BIAS_CELL, ACTIVATION, COTANGENT, BY_SAMPLE = range(10)
WEIGHT_SCALE, BIAS_SCALE = range(2)
BASE, GRAM, MOVED, HELD_CELL = range(4)
SOURCE, SOURCE_CELL = range(2)
SLAB = 8 * ROWS  # rows of weights that are carried through, then moved
LEAST_SHARE = 4_000_000  # multiplications of a step for which it is worth to call another core


class Step(NamedTuple):
    """What the parts of a step share.

    Attributes:
        lowest: the lowest layer that moves.
        samples: n.
        core: which of the cores this is.
        cores: how many take the step together.
        meeting: address of the count of cores that have come so far.
        layers: by layer, FAN_IN to BY_SAMPLE; activations and cotangents by features, D by samples too.
        scales: by layer, WEIGHT_SCALE and BIAS_SCALE.
        held: BASE to HELD_CELL of a held layer, or zeros.
        below: SOURCE and SOURCE_CELL, of A below the lowest layer.
        product: address of `nest.product`.
        slab: room for a slab's activations by samples, of this core.
        relu: whether σ is relu; otherwise it is the identity.
    """

    lowest: int
    samples: int
    core: int
    cores: int
    meeting: int
    layers: np.ndarray
    scales: np.ndarray
    held: np.ndarray
    below: np.ndarray
    product: int
    slab: int
    relu: bool


def fits(ensemble: Ensemble) -> bool:
    """Whether a stretch of this batch can be compiled: on a CPU, σ linear or relu, no branches."""
    known = ensemble.activation.rectifies is not None
    branches = any(layer.branches for layer in ensemble.layers)
    return ensemble.x.device.type == "cpu" and known and not branches


@functools.cache
def load(dtype: np.dtype) -> None:
    """Compiles it for numbers of a type, or reads it from the cache: what is done once in a process."""
    none, addresses = np.zeros(0, dtype=dtype), np.zeros((1, BY_SAMPLE + 1), dtype=np.int64)
    scales, held = np.zeros((1, BIAS_SCALE + 1), dtype=dtype), np.zeros(HELD_CELL + 1, dtype=np.int64)
    step = Step(0, 0, 0, 1, 0, addresses, scales, held, addresses[0], 0, 0, True)
    product_at(dtype)
    _compiled()(step, 0, none, none[:, None], none, dtype.type(1))


def descend(ensemble: Ensemble, targets: Tensor, steps: int) -> None:
    """Steps of gradient descent, W_h ← W_h − η s_h A_{h−1}ᵀ D_h with D_h carried from r = αf − y, in place.

    Within `held_layer.held` the first layer is held. Activations and outputs of the batch are lost.

    Args:
        ensemble: one that `fits`, after its forward pass.
        targets: y, shape (n·K,), sample-major.
        steps: how many; 0 does nothing.
    """
    y, lowest, samples = targets.numpy(), ensemble.lowest_moving, ensemble.x.shape[1]
    source = ensemble.inputs[lowest] if lowest else ensemble.x
    offset = ensemble.offset if ensemble.offset is not None else targets.new_zeros((len(ensemble), 0))
    rates, centre = ensemble.learning_rates.flatten().numpy(), offset.contiguous().numpy()
    by_sample = [targets.new_empty(samples * layer.fan_out) for layer in ensemble.layers]
    layers, scales = _layers(ensemble, by_sample), _scales(ensemble)
    below = np.array([source.data_ptr(), source.stride(0) if len(source) > 1 else 0], dtype=np.int64)
    held = np.zeros(HELD_CELL + 1, dtype=np.int64)
    if (layer := ensemble.held_layer) is not None:
        held[:] = *(a.data_ptr() for a in (layer.base, layer.gram, layer.moved)), layer.base.stride(0)
    multiplications = 3 * samples * int((layers[:, FAN_IN] * layers[:, FAN_OUT]).sum())
    cores = max(1, min(products.threads(), multiplications // LEAST_SHARE))
    come, compiled, relu = np.zeros(1, dtype=np.int64), _compiled(), bool(ensemble.activation.rectifies)
    slabs = targets.new_empty((cores, samples * SLAB))
    shares = [
        Step(
            lowest, samples, core, cores, come.ctypes.data, layers.copy(), scales, held.copy(), below.copy(),
            product_at(y.dtype), slabs[core].data_ptr(), relu,
        )
        for core in range(cores)
    ]  # fmt: skip
    scale = y.dtype.type(ensemble.output_scale)
    products.on_each(cores, lambda core: compiled(shares[core], steps, y, centre, rates, scale))


def _layers(ensemble: Ensemble, by_sample: list[Tensor]) -> np.ndarray:
    rows = []
    for h, layer in enumerate(ensemble.layers):
        weight, bias = ensemble.weights[h], ensemble.biases[h]
        is_last = h == len(ensemble.layers) - 1
        activation = ensemble.output_layer if is_last else ensemble.pre_activations[h]
        rooms = activation, ensemble.room_for_cotangents.layers[h], by_sample[h]
        bias_at = (0, 0) if bias is None else (bias.data_ptr(), bias.stride(0))
        sizes = layer.fan_in, layer.fan_out, layer.trains, weight.data_ptr(), weight.stride(0)
        rows.append((*sizes, *bias_at, *(r.data_ptr() for r in rooms)))
    return np.array(rows, dtype=np.int64)


def _scales(ensemble: Ensemble) -> np.ndarray:
    pairs = [(layer.weight_scale, layer.bias_scale) for layer in ensemble.layers]
    return np.array(pairs, dtype=NUMBERS[ensemble.x.dtype])


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
    step: Step,
    steps: int,
    targets: np.ndarray,
    offset: np.ndarray,
    learning_rates: np.ndarray,
    output_scale: float,
) -> None:
    """One core's part of every cell's steps; what is between the weights takes the room of the first cell."""
    layers, held, below, size = step.layers, step.held, step.below, learning_rates.itemsize
    met = 0
    for cell in range(len(learning_rates)):
        for _ in range(steps):
            met = _forward(step, met)
            if step.core == 0:
                centre = offset[cell] if offset.shape[1] else targets[:0]
                _residual(step, targets, centre, learning_rates[cell], output_scale)
            met = _meet(step, met)
            met = _backward(step, met)
        layers[:, WEIGHT] += size * layers[:, WEIGHT_CELL]
        layers[:, BIAS] += size * layers[:, BIAS_CELL]
        held[BASE] += size * held[HELD_CELL]
        held[MOVED] += size * held[HELD_CELL]
        below[SOURCE] += size * below[SOURCE_CELL]


@part
def _meet(step: Step, met: int) -> int:
    """Waits for the other cores; how often they have met."""
    if step.cores > 1:
        meet(step.meeting, (met + 1) * step.cores)
    return met + 1


@part
def _forward(step: Step, met: int) -> int:
    """A_hᵀ = σ(s_h W_hᵀ A_{h−1}ᵀ + t_h b_h), the last without σ; of a held layer z₁ᵀ = baseᵀ − Δᵀ gram."""
    layers, scales, held, samples = step.layers, step.scales, step.held, step.samples
    one, zero, size = scales.dtype.type(1), scales.dtype.type(0), scales.itemsize
    for h in range(step.lowest, len(layers)):
        fan_in, fan_out, place = layers[h, FAN_IN], layers[h, FAN_OUT], layers[h, ACTIVATION]
        mine = share(fan_out, step.core, step.cores)
        first, count = mine[0] * samples, (mine[1] - mine[0]) * samples
        z = numbers(place + size * first, count, scales)
        out = Matrix(place, samples, 1)
        if h == 0 and held[BASE]:
            base = numbers(held[BASE] + size * first, count, scales)
            for i in range(count):
                z[i] = base[i]
            moved, gram = Matrix(held[MOVED], samples, 1), Matrix(held[GRAM], samples, 1)
            product(step.product, mine, samples, samples, -one, moved, gram, one, out, False)
        else:
            beta = zero
            if layers[h, BIAS]:
                beta = one
                bias = numbers(layers[h, BIAS], fan_out, scales)
                for j in range(mine[0], mine[1]):
                    row = j * samples - first
                    z[row : row + samples] = scales[h, BIAS_SCALE] * bias[j]
            below = Matrix(layers[h - 1, ACTIVATION] if h > step.lowest else step.below[SOURCE], samples, 1)
            weight = Matrix(layers[h, WEIGHT], 1, fan_out)
            alpha = scales[h, WEIGHT_SCALE]
            product(step.product, mine, samples, fan_in, alpha, weight, below, beta, out, False)
        if step.relu and h < len(layers) - 1:
            for i in range(count):
                z[i] = zero if z[i] < zero else z[i]  # NaN stays
        met = _meet(step, met)
    return met


@part
def _residual(
    step: Step, targets: np.ndarray, centre: np.ndarray, learning_rate: float, output_scale: float
) -> None:
    """D of the outputs, η α (αz − centre − y), by features and by samples."""
    layers, scales, samples = step.layers, step.scales, step.samples
    last, count = len(layers) - 1, len(targets)
    outputs = numbers(layers[last, ACTIVATION], count, scales)
    by_feature = numbers(layers[last, COTANGENT], count, scales)
    by_sample = numbers(layers[last, BY_SAMPLE], count, scales)
    several = layers[last, FAN_OUT]
    for i in range(samples):
        for a in range(several):
            k = i * several + a
            residual = outputs[a * samples + i] * output_scale - targets[k]
            if len(centre):
                residual -= centre[k]
            by_sample[k] = residual * learning_rate * output_scale
            by_feature[a * samples + i] = by_sample[k]


@part
def _backward(step: Step, met: int) -> int:
    """From the last layer to the lowest that moves: cotangents of the layer below, then its own weights.

    D_{h−1}ᵀ = s_h W_h D_hᵀ ∘ σ'(z_{h−1})ᵀ; W_h ← W_h − s_h A_{h−1}ᵀ D_h, b_h ← b_h − t_h Σ_i D_h(i) of what
    trains; of a held layer Δ ← Δ + D.
    """
    layers, held = step.layers, step.held
    for h in range(len(layers) - 1, step.lowest - 1, -1):
        if h == 0 and held[BASE]:
            _hold(step)
        else:
            fan_in = layers[h, FAN_IN]
            mine = share(fan_in, step.core, step.cores)
            for r in range(mine[0], mine[1], SLAB):
                _through(step, h, (r, min(r + SLAB, mine[1])))
            if h > step.lowest and layers[h - 1, TRAINS] and not (h == 1 and held[BASE]):
                size, samples = step.scales.itemsize, step.samples
                start = layers[h - 1, COTANGENT] + size * mine[0] * samples
                end = layers[h - 1, BY_SAMPLE] + size * mine[0]
                transpose(start, samples, mine[1] - mine[0], samples, end, fan_in, step.scales)
            if layers[h, BIAS] and layers[h, TRAINS]:
                _move_bias(step, h)
        met = _meet(step, met)
    return met


@part
def _through(step: Step, h: int, rows: tuple[int, int]) -> None:
    """A slab of a layer's weights: cotangents carried through it, then what it loses itself."""
    layers, scales, samples = step.layers, step.scales, step.samples
    one, zero = scales.dtype.type(1), scales.dtype.type(0)
    fan_out, alpha = layers[h, FAN_OUT], scales[h, WEIGHT_SCALE]
    weight = Matrix(layers[h, WEIGHT], fan_out, 1)
    if h > step.lowest:
        above, place = Matrix(layers[h, COTANGENT], samples, 1), layers[h - 1, COTANGENT]
        product(
            step.product, rows, samples, fan_out, alpha, weight, above, zero, Matrix(place, samples, 1), False
        )
        if step.relu:
            start, count = scales.itemsize * rows[0] * samples, (rows[1] - rows[0]) * samples
            cotangent = numbers(place + start, count, scales)
            activation = numbers(layers[h - 1, ACTIVATION] + start, count, scales)
            for i in range(count):
                cotangent[i] = zero if activation[i] <= zero else cotangent[i]
    if layers[h, TRAINS]:
        below = Matrix(layers[h - 1, ACTIVATION] if h > step.lowest else step.below[SOURCE], samples, 1)
        by_sample = Matrix(layers[h, BY_SAMPLE], fan_out, 1)
        if fan_out == 1:
            _move_column(step, rows, -alpha, below, by_sample, weight)
        else:
            product(step.product, rows, fan_out, samples, -alpha, below, by_sample, one, weight, False)


@part
def _move_column(
    step: Step, rows: tuple[int, int], alpha: float, below: Matrix, cotangent: Matrix, weight: Matrix
) -> None:
    """w ← w + α A D of one output, as a row: its features are columns of A by samples."""
    scales, samples, count = step.scales, step.samples, rows[1] - rows[0]
    size = scales.itemsize
    start = below.at + size * rows[0] * samples
    transpose(start, samples, count, samples, step.slab, SLAB, scales)
    row, by_sample = Matrix(weight.at + size * rows[0], SLAB, 1), Matrix(step.slab, SLAB, 1)
    across = Matrix(cotangent.at, samples, 1)
    product(step.product, (0, 1), count, samples, alpha, across, by_sample, scales.dtype.type(1), row, False)


@part
def _move_bias(step: Step, h: int) -> None:
    layers, scales, samples = step.layers, step.scales, step.samples
    fan_out = layers[h, FAN_OUT]
    bias = numbers(layers[h, BIAS], fan_out, scales)
    cotangent = numbers(layers[h, COTANGENT], fan_out * samples, scales)
    mine = share(fan_out, step.core, step.cores)
    for j in range(mine[0], mine[1]):
        for i in range(samples):
            bias[j] -= scales[h, BIAS_SCALE] * cotangent[j * samples + i]


@part
def _hold(step: Step) -> None:
    """Δᵀ ← Δᵀ + D₁ᵀ of a held layer."""
    samples = step.samples
    mine = share(step.layers[0, FAN_OUT], step.core, step.cores)
    start, count = step.scales.itemsize * mine[0] * samples, (mine[1] - mine[0]) * samples
    moved = numbers(step.held[MOVED] + start, count, step.scales)
    moved += numbers(step.layers[0, COTANGENT] + start, count, step.scales)
