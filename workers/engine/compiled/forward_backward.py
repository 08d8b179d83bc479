"""One network's forward and backward pass in machine code, and what its weights lose.

What belongs to samples lies by features (`aligned.by_feature`): A_hᵀ and D_hᵀ, shape (fan_out, n). Both
passes read each weight once, for all samples, and each of several cores has its own features. Weights are
taken in slabs, which stay in the cache from what is carried through them to what they lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from widesweep.workers.engine import matmul, memory_layout
from widesweep.workers.engine.batch import Batch, lowest_trained
from widesweep.workers.engine.compiled.gemm import Matrix, product, product_at, share
from widesweep.workers.engine.compiled.jit import meet, numbers, part
from widesweep.workers.engine.compiled.transposition import transpose
from widesweep.workers.engine.matmul import NUMBERS

# Columns of a table's layers: sizes, addresses, distances between cells and rows in numbers; of its scales.
FAN_IN, FAN_OUT, TRAINS, WEIGHT, WEIGHT_CELL, WEIGHT_ROW, BIAS, BIAS_CELL = range(8)
ACTIVATION, ACTIVATION_CELL, COTANGENT, COTANGENT_CELL, BY_SAMPLE, BY_SAMPLE_ROW = range(8, 14)
COLUMNS = 14
WEIGHT_SCALE, BIAS_SCALE = range(2)
BASE, GRAM, MOVED, UPDATE_CELL = range(4)
SOURCE, SOURCE_CELL = range(2)
SLAB = 48  # rows of weights that are carried through, then moved: whole tiles of any height


class Table(NamedTuple):
    """Where a network's arrays lie, for one core's part of its passes.

    Attributes:
        lowest: the lowest layer that a forward pass computes.
        bottom: the lowest layer that trains.
        samples: n.
        core: which of the cores this is.
        cores: how many take each pass together.
        meeting: address of the count of cores that have come so far.
        met: how often they have met, one number.
        layers: by layer, FAN_IN to BY_SAMPLE_ROW; activations and cotangents by features, D by samples too.
        scales: by layer, WEIGHT_SCALE and BIAS_SCALE.
        update: BASE to UPDATE_CELL of an input-space update, or zeros.
        below: SOURCE and SOURCE_CELL, of A below the lowest layer.
        product: address of `gemm.product`.
        slab: room for a slab's activations by samples, of this core.
        room: two times n × n numbers.
        output_scale: α.
        relu: whether σ is relu; otherwise it is the identity.
    """

    lowest: int
    bottom: int
    samples: int
    core: int
    cores: int
    meeting: int
    met: np.ndarray
    layers: np.ndarray
    scales: np.ndarray
    update: np.ndarray
    below: np.ndarray
    product: int
    slab: int
    room: int
    output_scale: float
    relu: bool


class Tables:
    """The tables of all cores, and what they point to.

    Attributes:
        cores: how many.
        each: a table for each of them.
    """

    def __init__(self, ensemble: Batch, cotangents: Sequence[Tensor], cores: int, *, each_cell: bool) -> None:
        """Notes where an ensemble's arrays lie at present.

        Args:
            ensemble: one that `fits`.
            cotangents: room for D_h of each layer, by features.
            cores: how many take each pass together.
            each_cell: whether activations and cotangents of every cell are wanted, or those of one at a time.
        """
        self.cores, samples, x = cores, ensemble.x.shape[1], ensemble.x
        self._by_sample = [memory_layout.spread(x, 1, samples, layer.fan_out) for layer in ensemble.layers]
        self._slabs = x.new_empty((cores, samples * SLAB))
        self._room = x.new_empty((2, samples, samples))
        self._come = np.zeros(1, dtype=np.int64)
        self._cotangents = cotangents
        layers, lowest = self._layers(ensemble, each_cell), ensemble.lowest_moving
        bottom = lowest_trained(ensemble.layers)
        pairs = [(layer.weight_scale, layer.bias_scale) for layer in ensemble.layers]
        scales = np.array(pairs, dtype=NUMBERS[x.dtype])
        source = ensemble.inputs[lowest] if lowest else x
        below = np.array([source.data_ptr(), source.stride(0) if len(source) > 1 else 0], dtype=np.int64)
        update = np.zeros(UPDATE_CELL + 1, dtype=np.int64)
        if (layer := ensemble.input_space_update) is not None:
            update[:] = *(a.data_ptr() for a in (layer.base, layer.gram, layer.moved)), layer.base.stride(0)
        none = np.zeros(1, dtype=np.int64)
        alpha, relu = scales.dtype.type(ensemble.output_scale), bool(ensemble.activation.rectifies)
        self.each = [
            Table(
                lowest, bottom, samples, core, cores, self._come.ctypes.data, none,
                layers, scales, update, below, product_at(scales.dtype),
                self._slabs[core].data_ptr(), self._room.data_ptr(), alpha, relu,
            )
            for core in range(cores)
        ]  # fmt: skip

    def _layers(self, ensemble: Batch, each_cell: bool) -> np.ndarray:
        rows = []
        for h, layer in enumerate(ensemble.layers):
            weight, bias = ensemble.weights[h], ensemble.biases[h]
            is_last = h == len(ensemble.layers) - 1
            z, d = ensemble.output_layer if is_last else ensemble.pre_activations[h], self._cotangents[h]
            rows.append(
                (
                    layer.fan_in, layer.fan_out, layer.trains,
                    weight.data_ptr(), weight.stride(0), weight.stride(1),
                    *((0, 0) if bias is None else (bias.data_ptr(), bias.stride(0))),
                    z.data_ptr(), z.stride(0) * each_cell, d.data_ptr(), d.stride(0) * each_cell,
                    self._by_sample[h].data_ptr(), self._by_sample[h].stride(1),
                )
            )  # fmt: skip
        return np.array(rows, dtype=np.int64)

    def begin(self) -> None:
        """Before cores meet anew."""
        self._come[0] = 0


def fits(ensemble: Batch) -> bool:
    """Whether the passes of this batch can be compiled: on a CPU, σ linear or relu, no branches."""
    known = ensemble.activation.rectifies is not None
    branches = any(layer.branches for layer in ensemble.layers)
    return ensemble.x.device.type == "cpu" and known and not branches


def cores_for(multiplications: int, least: int) -> int:
    """The number of cores worth using for a pass, with at least `least` multiplications for each."""
    return max(1, min(matmul.threads(), multiplications // least))


def empty(dtype: np.dtype) -> Table:
    """A table of nothing: what compiling needs to see."""
    addresses, scales = np.zeros((1, COLUMNS), dtype=np.int64), np.zeros((1, BIAS_SCALE + 1), dtype=dtype)
    update = np.zeros(UPDATE_CELL + 1, dtype=np.int64)
    product, one = product_at(dtype), dtype.type(1)
    none = np.zeros(1, dtype=np.int64)
    return Table(0, 0, 0, 0, 1, 0, none, addresses, scales, update, addresses[0], product, 0, 0, one, True)


@part
def first_cell(table: Table) -> Table:
    """A table of its own for the first cell, which `next_cell` moves on."""
    return Table(
        table.lowest, table.bottom, table.samples, table.core, table.cores, table.meeting, table.met.copy(),
        table.layers.copy(), table.scales, table.update.copy(), table.below.copy(),
        table.product, table.slab, table.room, table.output_scale, table.relu,
    )  # fmt: skip


@part
def next_cell(table: Table) -> None:
    """From one cell of the batch to the next."""
    layers, update, below, size = table.layers, table.update, table.below, table.scales.itemsize
    for h in range(len(layers)):  # numbers one by one: slices take Numba seconds to compile
        layers[h, WEIGHT] += size * layers[h, WEIGHT_CELL]
        layers[h, BIAS] += size * layers[h, BIAS_CELL]
        layers[h, ACTIVATION] += size * layers[h, ACTIVATION_CELL]
        layers[h, COTANGENT] += size * layers[h, COTANGENT_CELL]
    update[BASE] += size * update[UPDATE_CELL]
    update[MOVED] += size * update[UPDATE_CELL]
    below[SOURCE] += size * below[SOURCE_CELL]


@part
def wait(table: Table) -> None:
    """Waits for the other cores."""
    if table.cores > 1:
        table.met[0] += 1
        meet(table.meeting, table.met[0] * table.cores)


@part
def activations_below(table: Table, h: int) -> int:
    """Where A_{h−1}ᵀ lies."""
    at: int = table.layers[h - 1, ACTIVATION] if h > table.lowest else table.below[SOURCE]
    return at


@part
def forward(table: Table) -> None:
    """A_hᵀ = σ(s_h W_hᵀ A_{h−1}ᵀ + t_h b_h), the last without σ; or z₁ᵀ = baseᵀ − Δᵀ gram."""
    layers, scales, update, samples = table.layers, table.scales, table.update, table.samples
    one, zero, size = scales.dtype.type(1), scales.dtype.type(0), scales.itemsize
    for h in range(table.lowest, len(layers)):
        fan_in, fan_out, place = layers[h, FAN_IN], layers[h, FAN_OUT], layers[h, ACTIVATION]
        mine = share(fan_out, table.core, table.cores)
        first, count = mine[0] * samples, (mine[1] - mine[0]) * samples
        z = numbers(place + size * first, count, scales)
        out = Matrix(place, samples, 1)
        if h == 0 and update[BASE]:
            base = numbers(update[BASE] + size * first, count, scales)
            for i in range(count):
                z[i] = base[i]
            moved, gram = Matrix(update[MOVED], samples, 1), Matrix(update[GRAM], samples, 1)
            product(table.product, mine, samples, samples, -one, moved, gram, one, out, False)
        else:
            beta = zero
            if layers[h, BIAS]:
                beta = one
                bias = numbers(layers[h, BIAS], fan_out, scales)
                for j in range(mine[0], mine[1]):
                    row, value = j * samples - first, scales[h, BIAS_SCALE] * bias[j]
                    for i in range(row, row + samples):
                        z[i] = value
            below = Matrix(activations_below(table, h), samples, 1)
            weight = Matrix(layers[h, WEIGHT], 1, layers[h, WEIGHT_ROW])
            alpha = scales[h, WEIGHT_SCALE]
            product(table.product, mine, samples, fan_in, alpha, weight, below, beta, out, False)
        if table.relu and h < len(layers) - 1:
            for i in range(count):
                z[i] = zero if z[i] < zero else z[i]  # NaN stays
        wait(table)


@part
def backward(table: Table, factors: np.ndarray, moves: bool) -> None:
    """From the last layer to the lowest that trains: cotangents of the layer below, then what it loses.

    D_{h−1}ᵀ = s_h W_h D_hᵀ ∘ σ'(z_{h−1})ᵀ; W_h ← W_h − s_h A_{h−1}ᵀ (φ ∘ D_h) and
    b_h ← b_h − t_h Σ_i φ_i D_h(i) of what trains; of a update layer Δ ← Δ + D.

    Args:
        table: with D of the last layer, by features and, if weights move, φ ∘ D by samples.
        factors: φ of each sample, or nothing where D holds it.
        moves: whether weights move; otherwise cotangents are all that is wanted.
    """
    layers = table.layers
    for h in range(len(layers) - 1, table.bottom - (1 if moves else 0), -1):
        if h == 0 and table.update[BASE]:
            _hold(table)
        else:
            mine = share(layers[h, FAN_IN], table.core, table.cores)
            for r in range(mine[0], mine[1], SLAB):
                rows = r, min(r + SLAB, mine[1])
                if h > table.bottom:
                    _carry(table, h, rows)
                if moves and layers[h, TRAINS]:
                    _move(table, h, rows)
            if moves and layers[h, BIAS] and layers[h, TRAINS]:
                _move_bias(table, h)
            below_in_update = h == 1 and table.update[BASE]
            if moves and h > table.bottom and layers[h - 1, TRAINS] and not below_in_update:
                by_sample(table, h - 1, factors, mine)
        wait(table)


@part
def move_all(table: Table, factors: np.ndarray) -> None:
    """What `backward` moves, from cotangents that are there."""
    layers = table.layers
    for h in range(table.bottom, len(layers)):
        if layers[h, TRAINS]:
            by_sample(table, h, factors, share(layers[h, FAN_OUT], table.core, table.cores))
    wait(table)
    for h in range(table.bottom, len(layers)):
        if layers[h, TRAINS]:
            mine = share(layers[h, FAN_IN], table.core, table.cores)
            for r in range(mine[0], mine[1], SLAB):
                _move(table, h, (r, min(r + SLAB, mine[1])))
            if layers[h, BIAS]:
                _move_bias(table, h)
    wait(table)


@part
def by_sample(table: Table, h: int, factors: np.ndarray, features: tuple[int, int]) -> None:
    """φ ∘ D_h by samples from D_hᵀ, for some features."""
    layers, samples, size = table.layers, table.samples, table.scales.itemsize
    start = layers[h, COTANGENT] + size * features[0] * samples
    end, count = layers[h, BY_SAMPLE] + size * features[0], features[1] - features[0]
    transpose(start, samples, count, samples, end, layers[h, BY_SAMPLE_ROW], factors)


@part
def _carry(table: Table, h: int, rows: tuple[int, int]) -> None:
    """D_{h−1}ᵀ = s_h W_h D_hᵀ ∘ σ'(z_{h−1})ᵀ for a slab of the rows of W_h."""
    layers, scales, samples = table.layers, table.scales, table.samples
    zero = scales.dtype.type(0)
    fan_out, alpha, place = layers[h, FAN_OUT], scales[h, WEIGHT_SCALE], layers[h - 1, COTANGENT]
    weight = Matrix(layers[h, WEIGHT], layers[h, WEIGHT_ROW], 1)
    above, below = Matrix(layers[h, COTANGENT], samples, 1), Matrix(place, samples, 1)
    product(table.product, rows, samples, fan_out, alpha, weight, above, zero, below, False)
    if table.relu:
        start, count = scales.itemsize * rows[0] * samples, (rows[1] - rows[0]) * samples
        cotangent = numbers(place + start, count, scales)
        activation = numbers(layers[h - 1, ACTIVATION] + start, count, scales)
        for i in range(count):
            cotangent[i] = zero if activation[i] <= zero else cotangent[i]


@part
def _move(table: Table, h: int, rows: tuple[int, int]) -> None:
    """W_h ← W_h − s_h A_{h−1}ᵀ D_h for a slab of its rows, with D_h by samples."""
    layers, scales, samples = table.layers, table.scales, table.samples
    fan_out, alpha = layers[h, FAN_OUT], scales[h, WEIGHT_SCALE]
    weight = Matrix(layers[h, WEIGHT], layers[h, WEIGHT_ROW], 1)
    below = Matrix(activations_below(table, h), samples, 1)
    one, cotangent = scales.dtype.type(1), Matrix(layers[h, BY_SAMPLE], layers[h, BY_SAMPLE_ROW], 1)
    if fan_out == 1:
        _move_column(table, rows, -alpha, below, cotangent, weight)
    else:
        product(table.product, rows, fan_out, samples, -alpha, below, cotangent, one, weight, False)


@part
def _move_column(
    table: Table, rows: tuple[int, int], alpha: float, below: Matrix, cotangent: Matrix, weight: Matrix
) -> None:
    """w ← w + α A D of one output, as a row: its features are columns of A by samples."""
    scales, samples, count = table.scales, table.samples, rows[1] - rows[0]
    size = scales.itemsize
    start = below.at + size * rows[0] * samples
    transpose(start, samples, count, samples, table.slab, SLAB, np.empty(0, dtype=scales.dtype))
    row, across = Matrix(weight.at + size * rows[0], SLAB, 1), Matrix(cotangent.at, samples, 1)
    slab, one = Matrix(table.slab, SLAB, 1), scales.dtype.type(1)
    product(table.product, (0, 1), count, samples, alpha, across, slab, one, row, False)


@part
def _move_bias(table: Table, h: int) -> None:
    """b_h ← b_h − t_h Σ_i D_h(i), with D_h by samples, for this core's features."""
    layers, scales, fan_out = table.layers, table.scales, table.layers[h, FAN_OUT]
    bias, mine = numbers(layers[h, BIAS], fan_out, scales), share(fan_out, table.core, table.cores)
    row = layers[h, BY_SAMPLE_ROW]
    cotangent = numbers(layers[h, BY_SAMPLE], row * table.samples, scales)
    for i in range(table.samples):
        for j in range(mine[0], mine[1]):
            bias[j] -= scales[h, BIAS_SCALE] * cotangent[i * row + j]


@part
def _hold(table: Table) -> None:
    """Δᵀ ← Δᵀ + D₁ᵀ of a update layer."""
    samples = table.samples
    mine = share(table.layers[0, FAN_OUT], table.core, table.cores)
    start, count = table.scales.itemsize * mine[0] * samples, (mine[1] - mine[0]) * samples
    moved = numbers(table.update[MOVED] + start, count, table.scales)
    cotangent = numbers(table.layers[0, COTANGENT] + start, count, table.scales)
    for i in range(count):
        moved[i] += cotangent[i]
