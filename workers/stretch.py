"""A stretch of gradient descent between two looks, compiled: one cell after another, each all its steps.

Through a stretch a cell's weights and the arrays of a step stay in its core's cache, and nothing is
dispatched. Numba compiles it at its first use on a machine, some seconds, and keeps it in its cache. Products
are OpenBLAS's batched routine, one matrix at a time, as in `workers.products`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import llvmlite.binding
import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload
from torch import Tensor

from workers import products
from workers.products import AS_IS, ROW_MAJOR, TRANSPOSED

if TYPE_CHECKING:
    from workers.ensemble import Ensemble

F = TypeVar("F", bound=Callable[..., Any])
# Columns of the tables of layers: sizes, addresses, distances between cells in numbers; and scales.
FAN_IN, FAN_OUT, TRAINS, WEIGHT, WEIGHT_CELL, BIAS, BIAS_CELL, ACTIVATION, COTANGENT = range(9)
WEIGHT_SCALE, BIAS_SCALE = range(2)
BASE, GRAM, MOVED, HELD_CELL = range(4)


def fits(ensemble: Ensemble) -> bool:
    """Whether a stretch of this batch can be compiled: on a CPU, σ linear or relu, no branches."""
    known = ensemble.activation.rectifies is not None
    branches = any(layer.branches for layer in ensemble.layers)
    return ensemble.x.device.type == "cpu" and known and not branches


@functools.cache
def load(dtype: np.dtype) -> None:
    """Compiles it for numbers of a type, or reads it from the cache: what is done once in a process."""
    none, addresses = np.zeros(0, dtype=dtype), np.zeros((1, COTANGENT + 1), dtype=np.int64)
    scales, held = np.zeros((1, BIAS_SCALE + 1), dtype=dtype), np.zeros(HELD_CELL + 1, dtype=np.int64)
    _compiled()(
        0, 0, 0, 1, addresses, scales, held, 0, 0, none, none[:, None], none, dtype.type(1), True
    )  # fmt: skip


def descend(ensemble: Ensemble, targets: Tensor, steps: int) -> None:
    """Steps of gradient descent, W_h ← W_h − η s_h A_{h−1}ᵀ D_h with D_h carried from r = αf − y, in place.

    Within `held_layer.held` the first layer is held. Activations and outputs of the batch are lost.

    Args:
        ensemble: one that `fits`, after its forward pass.
        targets: y, shape (n·K,), sample-major.
        steps: how many; 0 does nothing.
    """
    lowest, samples = ensemble.lowest_moving, ensemble.x.shape[1]
    rows, scales = [], []
    for h, layer in enumerate(ensemble.layers):
        weight, bias = ensemble.weights[h], ensemble.biases[h]
        room = ensemble.pre_activations[h] if h < len(ensemble.layers) - 1 else ensemble.output_layer
        cotangent = ensemble.room_for_cotangents.layers[h]
        bias_at = (0, 0) if bias is None else (bias.data_ptr(), bias.stride(0))
        rows.append(
            (layer.fan_in, layer.fan_out, layer.trains, weight.data_ptr(), weight.stride(0), *bias_at,
             room.data_ptr(), cotangent.data_ptr())
        )  # fmt: skip
        scales.append((layer.weight_scale, layer.bias_scale))
    held = ensemble.held_layer
    arrays = (0, 0, 0, 0)
    if held is not None:
        arrays = (held.base.data_ptr(), held.gram.data_ptr(), held.moved.data_ptr(), held.base.stride(0))
    source = ensemble.inputs[lowest] if lowest else ensemble.x.contiguous()
    offset = ensemble.offset if ensemble.offset is not None else targets.new_zeros((len(ensemble), 0))
    dtype = targets.numpy().dtype.type
    assert ensemble.activation.rectifies is not None
    _compiled()(
        steps, lowest, samples, products.threads(),
        np.array(rows, dtype=np.int64), np.array(scales, dtype=dtype), np.array(arrays, dtype=np.int64),
        source.data_ptr(), source.stride(0) if len(source) > 1 else 0,
        targets.numpy(), offset.contiguous().numpy(), ensemble.learning_rates.flatten().numpy(),
        dtype(ensemble.output_scale), ensemble.activation.rectifies,
    )  # fmt: skip


@functools.cache
def _compiled() -> Callable[..., None]:
    """The loop as machine code, from Numba's cache where this user has one."""
    try:
        return cast(Callable[..., None], numba.njit(_descend, nogil=True, cache=True))
    except RuntimeError:  # no folder to keep it in
        return cast(Callable[..., None], numba.njit(_descend, nogil=True))


def _part(function: F) -> F:
    """A part of that machine code."""
    return cast(F, numba.njit(function, nogil=True))


def _descend(
    steps: int,
    lowest: int,
    samples: int,
    cores: int,
    layers: np.ndarray,
    scales: np.ndarray,
    held: np.ndarray,
    source: int,
    source_cell: int,
    targets: np.ndarray,
    offset: np.ndarray,
    learning_rates: np.ndarray,
    output_scale: float,
    relu: bool,
) -> None:
    """Every cell through all steps; what is between the weights takes the room of the batch's first cell."""
    last, size = len(layers) - 1, learning_rates.itemsize
    outputs = _numbers(layers[last, ACTIVATION], len(targets), scales)
    carried = _numbers(layers[last, COTANGENT], len(targets), scales)
    for cell in range(len(learning_rates)):
        for _ in range(steps):
            _forward(lowest, samples, cores, layers, scales, held, source, relu)
            for i in range(len(targets)):
                centre = offset[cell, i] if offset.shape[1] else targets[i] * 0
                residual = outputs[i] * output_scale - centre - targets[i]
                carried[i] = residual * learning_rates[cell] * output_scale
            _carry(lowest, samples, cores, layers, scales, relu)
            _move(lowest, samples, cores, layers, scales, held, source)
        layers[:, WEIGHT] += size * layers[:, WEIGHT_CELL]
        layers[:, BIAS] += size * layers[:, BIAS_CELL]
        held[BASE] += size * held[HELD_CELL]
        held[MOVED] += size * held[HELD_CELL]
        source += size * source_cell


@_part
def _forward(
    lowest: int,
    samples: int,
    cores: int,
    layers: np.ndarray,
    scales: np.ndarray,
    held: np.ndarray,
    source: int,
    relu: bool,
) -> None:
    """A_h = σ(s_h A_{h−1} W_h + t_h b_h), the last without σ; of a held layer z₁ = base − gram Δ."""
    one, zero = scales.dtype.type(1), scales.dtype.type(0)
    for h in range(lowest, len(layers)):
        fan_in, fan_out, place = layers[h, FAN_IN], layers[h, FAN_OUT], layers[h, ACTIVATION]
        z = _numbers(place, samples * fan_out, scales)
        if h == 0 and held[BASE]:
            z[:] = _numbers(held[BASE], samples * fan_out, scales)
            sizes = samples, fan_out, samples
            _product(cores, False, False, sizes, -one, held[GRAM], held[MOVED], one, place, scales)
        else:
            beta = zero
            if layers[h, BIAS]:
                beta = scales[h, BIAS_SCALE]
                bias = _numbers(layers[h, BIAS], fan_out, scales)
                for i in range(samples):
                    z[i * fan_out : (i + 1) * fan_out] = bias
            below, weight = layers[h - 1, ACTIVATION] if h > lowest else source, layers[h, WEIGHT]
            sizes = samples, fan_out, fan_in
            alpha = scales[h, WEIGHT_SCALE]
            _product(cores, False, False, sizes, alpha, below, weight, beta, place, scales)
        if relu and h < len(layers) - 1:
            for i in range(samples * fan_out):
                z[i] = zero if z[i] < zero else z[i]  # NaN stays


@_part
def _carry(lowest: int, samples: int, cores: int, layers: np.ndarray, scales: np.ndarray, relu: bool) -> None:
    """D_{h−1} = s_h D_h W_hᵀ ∘ σ'(z_{h−1}) from the last layer's down to the lowest that trains."""
    zero = scales.dtype.type(0)
    for h in range(len(layers) - 1, lowest, -1):
        fan_in, fan_out, alpha = layers[h, FAN_IN], layers[h, FAN_OUT], scales[h, WEIGHT_SCALE]
        above, place = layers[h, COTANGENT], layers[h - 1, COTANGENT]
        below = _numbers(place, samples * fan_in, scales)
        if fan_out == 1:
            each, weight = _numbers(above, samples, scales), _numbers(layers[h, WEIGHT], fan_in, scales)
            for i in range(samples):
                factor, first = each[i] * alpha, i * fan_in
                for j in range(fan_in):
                    below[first + j] = factor * weight[j]
        else:
            sizes = samples, fan_in, fan_out
            _product(cores, False, True, sizes, alpha, above, layers[h, WEIGHT], zero, place, scales)
        if relu:
            activation = _numbers(layers[h - 1, ACTIVATION], samples * fan_in, scales)
            for i in range(samples * fan_in):
                below[i] = zero if activation[i] <= zero else below[i]


@_part
def _move(
    lowest: int,
    samples: int,
    cores: int,
    layers: np.ndarray,
    scales: np.ndarray,
    held: np.ndarray,
    source: int,
) -> None:
    """W_h ← W_h − s_h A_{h−1}ᵀ D_h, b_h ← b_h − t_h Σ_i D_h(i) of what trains; of a held layer Δ ← Δ + D."""
    one = scales.dtype.type(1)
    for h in range(lowest, len(layers)):
        fan_in, fan_out, place = layers[h, FAN_IN], layers[h, FAN_OUT], layers[h, COTANGENT]
        cotangent = _numbers(place, samples * fan_out, scales)
        if h == 0 and held[BASE]:
            moved = _numbers(held[MOVED], samples * fan_out, scales)
            for i in range(samples * fan_out):
                moved[i] += cotangent[i]
        elif layers[h, TRAINS]:
            below, weight = layers[h - 1, ACTIVATION] if h > lowest else source, layers[h, WEIGHT]
            sizes = fan_in, fan_out, samples
            alpha = -scales[h, WEIGHT_SCALE]
            _product(cores, True, False, sizes, alpha, below, place, one, weight, scales)
            if layers[h, BIAS]:
                bias = _numbers(layers[h, BIAS], fan_out, scales)
                for j in range(fan_out):
                    for i in range(samples):
                        bias[j] -= scales[h, BIAS_SCALE] * cotangent[i * fan_out + j]


@_part
def _product(
    cores: int,
    a_transposed: bool,
    b_transposed: bool,
    sizes: tuple[int, int, int],
    alpha: float,
    a: int,
    b: int,
    beta: float,
    out: int,
    like: np.ndarray,
) -> None:
    """out ← α a b + β out for (rows, columns, inner), in panels that several cores share."""
    rows, columns, inner = sizes
    a_order, a_row = (TRANSPOSED, rows) if a_transposed else (AS_IS, inner)
    b_order, b_row, along = (TRANSPOSED, inner, inner) if b_transposed else (AS_IS, columns, 1)
    width, size = _panel_width(rows, columns, inner, cores), like.itemsize
    for first, wide, count in (
        (0, width, columns // width),
        (columns // width * width, columns % width, 1),
    ):
        if wide:
            _multiply(
                like, ROW_MAJOR, a_order, b_order, rows, wide, inner,
                alpha, a, a_row, 0, b + size * first * along, b_row, wide * along,
                beta, out + size * first, columns, wide, count,
            )  # fmt: skip


def _multiply(like: np.ndarray, *arguments: Any) -> None:
    """OpenBLAS's batched product of an array's type."""
    raise NotImplementedError  # compiled code alone can call it


def _routine(like: Any, *arguments: Any) -> Callable[..., None]:
    """What `_multiply` is for an array of a type that Numba knows."""
    number, letter = like.dtype, {types.float64: "d", types.float32: "s"}[like.dtype]
    size, address = types.int32, types.int64
    matrices = [address, size, size]
    signature = types.void(*[size] * 6, number, *matrices * 2, number, *matrices, size)
    routine = types.ExternalFunction(f"scipy_cblas_{letter}gemm_batch_strided", signature)

    def multiply(like: Any, *arguments: Any) -> None:
        routine(*arguments)

    return multiply


def _as_pointer(context: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the type of an array."""

    def convert(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(address, like), convert


@_part
def _numbers(address: int, count: int, like: np.ndarray) -> np.ndarray:
    """So many numbers at an address, of the type of an array."""
    return numba.carray(_pointer(address, like), (count,))  # type: ignore[no-any-return]  # untyped library


llvmlite.binding.load_library_permanently(str(products.library_path()))
_panel_width = _part(products.panel_width)
overload(_multiply)(_routine)
_pointer = intrinsic(_as_pointer)
