"""What a sync step computes, compiled: outputs, cotangents, the tangent kernel, and a single step.

Every cell keeps its activations and cotangents, which measurements read. Of K outputs the cotangents of each
alone, and the kernel that is made of them, are torch's. Consecutive sync steps are
one call where only residuals and kernels are wanted of them: one cell after another takes all its steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from widesweep.workers.engine import matmul, memory_layout
from widesweep.workers.engine.batch import Batch, CotangentRows
from widesweep.workers.engine.compiled.forward_backward import (
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
from widesweep.workers.engine.compiled.gemm import Matrix, product, share
from widesweep.workers.engine.compiled.jit import entry, numbers, part

LEAST_SHARE = 2_000_000  # multiplications of a pass for which it is worth to call another core
LEAST_SHARE_OF_A_STEP = 4_000_000  # the same where cores meet in every step of every cell
FORWARD, CARRY, STEP, MOVE, KERNEL, STEPS = range(6)


class Given(NamedTuple):
    """Addresses of what a pass reads and writes beside a batch's own arrays; zeros where it needs none.

    Attributes:
        outputs: αf of every cell at each of its steps, sample-major.
        offset: what is subtracted from them.
        targets: what else is subtracted, the same for all cells.
        residual: r of every cell at each of its steps, sample-major.
        rates: η of every cell.
        kernel: of the first cell's first kernel.
        apart: from one kernel to the next, in numbers.
        input_gram: s₁²XXᵀ + t₁² of all cells.
        steps: how many each cell takes.
    """

    outputs: int = 0
    offset: int = 0
    targets: int = 0
    residual: int = 0
    rates: int = 0
    kernel: int = 0
    apart: int = 0
    input_gram: int = 0
    steps: int = 1


@functools.cache
def load(dtype: np.dtype) -> None:
    """Compiles it for numbers of a type, or reads it from the cache: what is done once in a process."""
    _compiled()(FORWARD, empty(dtype), 0, Given())


def computes(ensemble: Batch) -> bool:
    """Whether passes of this batch are compiled, and no layer is in an input-space update."""
    return ensemble.is_compiled and ensemble.input_space_update is None and ensemble.lowest_moving == 0


def forward_pass(ensemble: Batch) -> Tensor:
    """z_h and A_h of every cell, kept; αf, minus its offset, shape (B, n·K)."""
    outputs = ensemble.x.new_empty((len(ensemble.weights[0]), ensemble.width_of_outputs))
    given = Given(outputs=outputs.data_ptr(), offset=_place(ensemble.offset))
    _run(FORWARD, ensemble, ensemble.room_for_cotangents, given)
    return outputs


def carry(ensemble: Batch, cotangents: CotangentRows) -> None:
    """D_h of one row at each sample, from that of the outputs to that of the lowest layer that trains.

    Args:
        ensemble: after its forward pass.
        cotangents: of which the last layer's are there.
    """
    _run(CARRY, ensemble, cotangents, Given())


def step(ensemble: Batch, cotangents: CotangentRows, residual: Tensor, *, carried: bool) -> None:
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


def tangent_kernel(ensemble: Batch) -> Tensor:
    """G of one output, the lower half computed, shape (B, n, n); as `tangent_kernels.tangent_kernel`."""
    samples = ensemble.x.shape[1]
    kernel = memory_layout.empty(ensemble.x, len(ensemble), samples, samples)
    of_inputs = _place(ensemble.input_gram)
    given = Given(kernel=kernel.data_ptr(), apart=kernel.stride(0), input_gram=of_inputs)
    _run(KERNEL, ensemble, ensemble.unit_cotangents, given)
    return kernel


def steps(
    ensemble: Batch, cotangents: CotangentRows, targets: Tensor, count: int, *, kernels: bool
) -> tuple[Tensor, Tensor | None]:
    """`forward_pass`, `tangent_kernel` and `step` of one output, repeated `count` times, to the bit.

    Args:
        ensemble: at any time.
        cotangents: room for unit cotangents; they, activations and outputs of the batch are lost.
        targets: y, shape (n,).
        count: how many steps.
        kernels: whether they are wanted.

    Returns:
        r before each step, shape (count, B, n), and G, shape (count, B, n, n), or none.
    """
    samples, shape = ensemble.x.shape[1], (count, len(ensemble))
    residual = ensemble.x.new_empty((*shape, samples))
    kernel = memory_layout.empty(ensemble.x, count * len(ensemble), samples, samples) if kernels else None
    given = Given(
        outputs=residual.data_ptr(),
        offset=_place(ensemble.offset),
        targets=targets.data_ptr(),
        residual=residual.data_ptr(),
        rates=ensemble.learning_rates.data_ptr(),
        kernel=_place(kernel),
        apart=0 if kernel is None else kernel.stride(0),
        input_gram=_place(ensemble.input_gram),
        steps=count,
    )
    _run(STEPS, ensemble, cotangents, given)
    return residual, None if kernel is None else kernel.view(*shape, samples, samples)


def _place(tensor: Tensor | None) -> int:
    """Where it lies; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def _run(what: int, ensemble: Batch, cotangents: CotangentRows, given: Given) -> None:
    multiplications = ensemble.multiplications
    if what == KERNEL:  # n² inner products of m numbers where a layer has n products of m²
        multiplications = multiplications * ensemble.x.shape[1] // ensemble.layers[-1].fan_in
    cores = cores_for(multiplications, LEAST_SHARE)
    if what == STEPS:
        cores = cores_for(3 * multiplications // max(len(ensemble), 1), LEAST_SHARE_OF_A_STEP)
    tables = ensemble.tables.get((cotangents, cores))
    if tables is None:
        tables = Tables(ensemble, cotangents.layers, cores, each_cell=True)
        ensemble.tables[cotangents, cores] = tables
    tables.begin()
    compiled, each, cells = _compiled(), tables.each, len(ensemble.weights[0])
    matmul.on_each(cores, lambda core: compiled(what, each[core], cells, given))


@functools.cache
def _compiled() -> Callable[..., None]:
    return entry(_keyed)


def _keyed(sources: str) -> Callable[..., None]:
    """One core's part of a pass of every cell, compiled for these sources."""

    def pass_by(what: int, tables: Table, cells: int, given: Given) -> None:
        table = first_cell(tables)
        for cell in range(cells if sources else 0):
            for step in range(given.steps):
                place = step * cells + cell
                if what in (FORWARD, STEPS):
                    forward(table)
                    if table.core == 0:
                        _write_outputs(table, cell, place, given)
                    wait(table)
                if what not in (FORWARD, KERNEL):
                    _go_back(table, cell, place, given, what)
                if given.kernel:
                    _tangent_kernel(table, place, given)
                    wait(table)
            next_cell(table)

    return pass_by


@part
def _write_outputs(table: Table, cell: int, place: int, given: Given) -> None:
    """αz, minus what is subtracted, by samples."""
    last, samples = len(table.layers) - 1, table.samples
    several, size = table.layers[last, FAN_OUT], table.scales.itemsize
    count = samples * several
    z = numbers(table.layers[last, ACTIVATION], count, table.scales)
    outputs = numbers(given.outputs + size * place * count, count, table.scales)
    for i in range(samples):
        for a in range(several):
            outputs[i * several + a] = z[a * samples + i] * table.output_scale
    if given.offset:
        offset = numbers(given.offset + size * cell * count, count, table.scales)
        for k in range(count):
            outputs[k] -= offset[k]
    if given.targets:
        targets = numbers(given.targets, count, table.scales)
        for k in range(count):
            outputs[k] -= targets[k]


@part
def _go_back(table: Table, cell: int, place: int, given: Given, what: int) -> None:
    """Cotangents of one cell, or its step, or what is left of that where they are there."""
    last, moves = len(table.layers) - 1, what in (STEP, STEPS)
    factors = np.empty(0 if what == CARRY else table.samples, dtype=table.scales.dtype)
    if what != CARRY:
        _weigh(table, cell, place, given, factors)
    if what == MOVE:
        move_all(table, factors)
        return
    if moves and table.layers[last, TRAINS]:
        by_sample(table, last, factors, share(table.layers[last, FAN_OUT], table.core, table.cores))
        wait(table)
    backward(table, factors, moves)


@part
def _weigh(table: Table, cell: int, place: int, given: Given, factors: np.ndarray) -> None:
    """φ: of one output η r, which weighs unit cotangents; of several η, and r becomes the last layer's D."""
    last, samples = len(table.layers) - 1, table.samples
    several, size = table.layers[last, FAN_OUT], table.scales.itemsize
    count = samples * several
    residual = numbers(given.residual + size * place * count, count, table.scales)
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
def _tangent_kernel(table: Table, place: int, given: Given) -> None:
    """G = Σ_h (s_h² A Aᵀ + t_h²) ∘ D Dᵀ of one cell, for this core's rows and their mirror images."""
    samples, layers, scales = table.samples, table.layers, table.scales
    zero, one, size = scales.dtype.type(0), scales.dtype.type(1), samples * samples
    mine, of_cotangents = _rows_of_half(samples, table.core, table.cores), table.room + size * scales.itemsize
    kernel = numbers(given.kernel + place * given.apart * scales.itemsize, size, scales)
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
