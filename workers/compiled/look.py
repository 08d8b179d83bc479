"""What a look at a batch computes, compiled: outputs, cotangents, the tangent kernel, and a single step.

Every cell keeps its activations and cotangents, which measurements read. Of K outputs the cotangents of each
alone, and the kernel that is made of them, are torch's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from workers import aligned, products
from workers.compiled.calls import entry, numbers, part
from workers.compiled.nest import Matrix, product, share
from workers.compiled.passes import (
    ACTIVATION,
    BIAS_SCALE,
    COTANGENT,
    FAN_IN,
    FAN_OUT,
    TRAINS,
    WEIGHT_SCALE,
    Table,
    Tables,
    activations_below,
    backward,
    by_sample,
    cores_for,
    empty,
    first_cell,
    forward,
    move_all,
    next_cell,
    wait,
)

if TYPE_CHECKING:
    from workers.cotangents import Cotangents
    from workers.ensemble import Ensemble

LEAST_SHARE = 2_000_000  # multiplications of a pass for which it is worth to call another core
FORWARD, CARRY, STEP, MOVE, KERNEL = range(5)


class Given(NamedTuple):
    """Addresses of what a pass reads and writes beside a batch's own arrays; zeros where it needs none.

    Attributes:
        outputs: αf of every cell, sample-major.
        offset: what is subtracted from them.
        residual: r of every cell, sample-major.
        rates: η of every cell.
        kernel: of the first cell's kernel.
        apart: from one kernel to the next, in numbers.
        input_gram: s₁²XXᵀ + t₁² of all cells.
    """

    outputs: int = 0
    offset: int = 0
    residual: int = 0
    rates: int = 0
    kernel: int = 0
    apart: int = 0
    input_gram: int = 0


@functools.cache
def load(dtype: np.dtype) -> None:
    """Compiles it for numbers of a type, or reads it from the cache: what is done once in a process."""
    _compiled()(FORWARD, empty(dtype), 0, Given())


def computes(ensemble: Ensemble) -> bool:
    """Whether passes of this batch are compiled, and none of its layers is held."""
    return ensemble.is_compiled and ensemble.held_layer is None and ensemble.lowest_moving == 0


def forward_pass(ensemble: Ensemble) -> Tensor:
    """z_h and A_h of every cell, kept; αf, minus its offset, shape (B, n·K)."""
    outputs, offset = ensemble.x.new_empty((len(ensemble.weights[0]), ensemble.width_of_outputs)), 0
    if ensemble.offset is not None:
        offset = ensemble.offset.data_ptr()
    _run(FORWARD, ensemble, ensemble.room_for_cotangents, Given(outputs=outputs.data_ptr(), offset=offset))
    return outputs


def carry(ensemble: Ensemble, cotangents: Cotangents) -> None:
    """D_h of one row at each sample, from that of the outputs to that of the lowest layer that trains.

    Args:
        ensemble: after its forward pass.
        cotangents: of which the last layer's are there.
    """
    _run(CARRY, ensemble, cotangents, Given())


def step(ensemble: Ensemble, cotangents: Cotangents, residual: Tensor, *, carried: bool) -> None:
    """W_h ← W_h − η s_h A_{h−1}ᵀ Σ_a r_a D_h(a) and b_h ← b_h − η t_h Σ_ia r_ia D_h(ia) of all that trains.

    Args:
        ensemble: after its forward pass.
        cotangents: of one output the unit cotangents, otherwise room for those of the residual.
        residual: r, shape (B, n·K).
        carried: whether unit cotangents are there; otherwise they are then, of all layers.
    """
    residual = residual.contiguous()
    given = Given(residual=residual.data_ptr(), rates=ensemble.learning_rates.data_ptr())
    _run(MOVE if carried else STEP, ensemble, cotangents, given)


def tangent_kernel(ensemble: Ensemble) -> Tensor:
    """G of one output, the lower half computed, shape (B, n, n); as `tangent_kernels.tangent_kernel`."""
    samples, gram = ensemble.x.shape[1], ensemble.input_gram
    kernel = aligned.empty(ensemble.x, len(ensemble), samples, samples)
    of_inputs = 0 if gram is None else gram.data_ptr()
    given = Given(kernel=kernel.data_ptr(), apart=kernel.stride(0), input_gram=of_inputs)
    _run(KERNEL, ensemble, ensemble.unit_cotangents, given)
    return kernel


def _run(what: int, ensemble: Ensemble, cotangents: Cotangents, given: Given) -> None:
    multiplications = ensemble.multiplications
    if what == KERNEL:  # n² inner products of m numbers where a layer has n products of m²
        multiplications = multiplications * ensemble.x.shape[1] // ensemble.layers[-1].fan_in
    cores = cores_for(multiplications, LEAST_SHARE)
    tables = ensemble.tables.get((cotangents, cores))
    if tables is None:
        tables = Tables(ensemble, cotangents.layers, cores, each_cell=True)
        ensemble.tables[cotangents, cores] = tables
    tables.begin()
    compiled, each, cells = _compiled(), tables.each, len(ensemble.weights[0])
    products.on_each(cores, lambda core: compiled(what, each[core], cells, given))


@functools.cache
def _compiled() -> Callable[..., None]:
    return entry(_keyed)


def _keyed(sources: str) -> Callable[..., None]:
    """One core's part of a pass of every cell, compiled for these sources."""

    def look(what: int, tables: Table, cells: int, given: Given) -> None:
        table = first_cell(tables)
        for cell in range(cells if sources else 0):
            if what == FORWARD:
                forward(table)
                if table.core == 0:
                    _write_outputs(table, cell, given)
            elif what == KERNEL:
                _tangent_kernel(table, cell, given)
            else:
                _go_back(table, cell, given, what)
            next_cell(table)

    return look


@part
def _write_outputs(table: Table, cell: int, given: Given) -> None:
    """αz, minus what is subtracted, by samples."""
    last, samples = len(table.layers) - 1, table.samples
    several, size = table.layers[last, FAN_OUT], table.scales.itemsize
    count = samples * several
    z = numbers(table.layers[last, ACTIVATION], count, table.scales)
    outputs = numbers(given.outputs + size * cell * count, count, table.scales)
    for i in range(samples):
        for a in range(several):
            outputs[i * several + a] = z[a * samples + i] * table.output_scale
    if given.offset:
        offset = numbers(given.offset + size * cell * count, count, table.scales)
        for k in range(count):
            outputs[k] -= offset[k]


@part
def _go_back(table: Table, cell: int, given: Given, what: int) -> None:
    """Cotangents of one cell, or its step, or what is left of that where they are there."""
    factors, last = (
        np.empty(0 if what == CARRY else table.samples, dtype=table.scales.dtype),
        len(table.layers) - 1,
    )
    if what != CARRY:
        _weigh(table, cell, given, factors)
    if what == MOVE:
        move_all(table, factors)
        return
    if what == STEP and table.layers[last, TRAINS]:
        by_sample(table, last, factors, share(table.layers[last, FAN_OUT], table.core, table.cores))
        wait(table)
    backward(table, factors, what == STEP)


@part
def _weigh(table: Table, cell: int, given: Given, factors: np.ndarray) -> None:
    """φ: of one output η r, which weighs unit cotangents; of several η, and r becomes the last layer's D."""
    last, samples = len(table.layers) - 1, table.samples
    several, size = table.layers[last, FAN_OUT], table.scales.itemsize
    count = samples * several
    residual = numbers(given.residual + size * cell * count, count, table.scales)
    rate = numbers(given.rates + size * cell, 1, table.scales)[0]
    for i in range(samples):
        factors[i] = rate if several > 1 else residual[i] * rate
    if several > 1:
        if table.core == 0:
            top = numbers(table.layers[last, COTANGENT], count, table.scales)
            for i in range(samples):
                for a in range(several):
                    top[a * samples + i] = residual[i * several + a] * table.output_scale
        wait(table)


@part
def _tangent_kernel(table: Table, cell: int, given: Given) -> None:
    """G = Σ_h (s_h² A Aᵀ + t_h²) ∘ D Dᵀ of one cell, for this core's rows and their mirror images."""
    samples, layers, scales = table.samples, table.layers, table.scales
    zero, one, size = scales.dtype.type(0), scales.dtype.type(1), samples * samples
    mine, of_cotangents = _rows_of_half(samples, table.core, table.cores), table.room + size * scales.itemsize
    kernel = numbers(given.kernel + cell * given.apart * scales.itemsize, size, scales)
    for i in range(mine[0], mine[1]):
        for k in range(i * samples, i * samples + i + 1):
            kernel[k] = zero
    for h in range(len(layers)):
        if layers[h, TRAINS]:
            of_inputs, bias = given.input_gram, zero
            if h > 0 or not of_inputs:
                of_inputs, bias = table.room, scales[h, BIAS_SCALE] * scales[h, BIAS_SCALE]
                scale = scales[h, WEIGHT_SCALE] * scales[h, WEIGHT_SCALE]
                _gram(table, mine, activations_below(table, h), layers[h, FAN_IN], scale, of_inputs)
            _gram(table, mine, layers[h, COTANGENT], layers[h, FAN_OUT], one, of_cotangents)
            a, d = numbers(of_inputs, size, scales), numbers(of_cotangents, size, scales)
            for i in range(mine[0], mine[1]):
                for k in range(i * samples, i * samples + i + 1):
                    kernel[k] += (a[k] + bias) * d[k]
    for i in range(mine[0], mine[1]):
        for j in range(i):
            kernel[j * samples + i] = kernel[i * samples + j]


@part
def _gram(
    table: Table, rows: tuple[int, int], by_feature: int, features: int, scale: float, into: int
) -> None:
    """scale · X Xᵀ from Xᵀ, shape (features, n): such rows, up to the diagonal."""
    n, zero = table.samples, table.scales.dtype.type(0)
    x, transposed = Matrix(by_feature, 1, n), Matrix(by_feature, n, 1)
    product(table.product, rows, n, features, scale, x, transposed, zero, Matrix(into, n, 1), True)


@part
def _rows_of_half(count: int, core: int, cores: int) -> tuple[int, int]:
    """From where to before where one of several cores takes rows of a half below the diagonal."""
    return int(count * np.sqrt(core / cores)), int(count * np.sqrt((core + 1) / cores))
