"""The group /fits: the late-time rate of every cell, on Dask, and what its own kernel would give."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.fitting.rates import (
    DIVERGED,
    FLAGS,
    HIDDEN,
    NOT_DONE,
    OK,
    late_rates,
    shows_late_rate,
)

Array = NDArray[np.float64]

OUTPUTS = (
    "rate",
    "rate_standard_error",
    "rate_window_start",
    "rate_window_stop",
    "rate_flag",
    "rate_own_kernel",
)
SLICE_VALUES = (
    2**17
)  # records fitted at a time: a fit's dozens of temporaries take tens of MB, however large a block


def cell_fits(
    training: xr.Dataset, theory: xr.Dataset | None = None, *, floor: float, gradient_flow: bool = False
) -> xr.Dataset:
    """The group /fits: `late_rates` of every cell, lazily, block by block.

    `rate_own_kernel` is the rate that the cell's own measured kernel gives in the fitted window,
    min(−log|1 − ηλ_min|, −log|1 − ηλ_max|) averaged over its records (ηλ_min under gradient flow): it is
    compared with the fit, and has no say in the window.

    Args:
        training: the group /training, dask-backed or in memory.
        theory: /theory on the same grid with `residual_norm_predicted` and `rate_predicted`, which windows
            are held against (`shows_late_rate`); None where theory has no such curve.
        floor: relative residual where rounding takes over.
        gradient_flow: the optimiser follows the flow exactly rather than by steps.

    Returns:
        Dataset over (width, depth, seed, learning_rate), as lazy as its input.

    >>> cell_fits.__module__
    'widesweep.analysis.fitting.cell_fits'
    """
    records, nothing = ["step"], xr.full_like(training["step"], np.nan, dtype=np.float64)
    curve = nothing if theory is None else theory["residual_norm_predicted"]
    late = nothing.isel(step=0, drop=True) if theory is None else theory["rate_predicted"]
    results = xr.apply_ufunc(
        _block,
        training["residual_norm"],
        training["ntk_min_eigenvalue"],
        training["ntk_max_eigenvalue"],
        training["status"],
        training["learning_rate_absolute"].broadcast_like(training["status"]),
        curve,
        late,
        training["step"],
        kwargs={"floor": floor, "gradient_flow": gradient_flow},
        input_core_dims=[records, records, records, [], [], records, [], records],
        output_core_dims=[[] for _ in OUTPUTS],
        dask="parallelized",
        output_dtypes=[np.float64] * 4 + [np.int8, np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    fits = xr.Dataset(dict(zip(OUTPUTS, results, strict=True)))
    return _described(fits.transpose(*training["status"].dims))


def _block(
    norm: Array,
    least: Array,
    largest: Array,
    status: NDArray[np.int8],
    rate: Array,
    curve: Array,
    late: Array,
    step: Array,
    *,
    floor: float,
    gradient_flow: bool,
) -> tuple[NDArray[np.generic], ...]:
    """`late_rates` and the own kernel's rate on one block of cells of any shape, a slice at a time."""
    shape, records = status.shape, norm.shape[-1]
    flat_norm, flat_least, flat_largest, flat_curve = (
        np.broadcast_to(v, (*shape, records)).reshape(-1, records) for v in (norm, least, largest, curve)
    )
    state, eta = np.asarray(status).reshape(-1), np.broadcast_to(rate, shape).reshape(-1, 1)
    flat_late = np.broadcast_to(late, shape).reshape(-1)
    fit = partial(_slice, np.asarray(step, dtype=np.float64), floor=floor, gradient_flow=gradient_flow)
    rows = max(1, SLICE_VALUES // max(records, 1))
    slices = (slice(first, first + rows) for first in range(0, max(state.size, 1), rows))
    parts = [
        fit(flat_norm[c], flat_least[c], flat_largest[c], state[c], eta[c], flat_curve[c], flat_late[c])
        for c in slices
    ]
    return tuple(np.concatenate(values).reshape(shape) for values in zip(*parts, strict=True))


def _slice(
    k: Array,
    norm: Array,
    least: Array,
    largest: Array,
    state: NDArray[np.int8],
    eta: Array,
    curve: Array,
    late: Array,
    *,
    floor: float,
    gradient_flow: bool,
) -> tuple[NDArray[np.generic], ...]:
    """The same for cells in rows: records (cells, records), state and late rate (cells,), η (cells, 1)."""
    fitted, error, start, stop, flag = late_rates(norm, k, floor=floor)
    flag = np.where(state == 2, DIVERGED, np.where(state == 1, flag, NOT_DONE)).astype(np.int8)
    window = (k >= start[:, None]) & (k <= stop[:, None])
    largest_rules = np.abs(1.0 - eta * largest) > np.abs(1.0 - eta * least)  # then theory's rate is another
    honest = shows_late_rate(curve, late, k, window) | ((largest_rules & window).any(1) & (not gradient_flow))
    flag = np.where((flag == OK) & ~honest, HIDDEN, flag).astype(np.int8)
    values = [np.where(flag == OK, v, np.nan) for v in (fitted, error, start, stop)]
    inside = (k >= values[2][:, None]) & (k <= values[3][:, None]) & np.isfinite(least)
    own = np.where(inside, _kernel_rate(eta, least, largest, gradient_flow), 0.0).sum(1)
    count = inside.sum(1)
    return (*values, flag, np.where(count > 0, own / np.maximum(count, 1), np.nan))


def _kernel_rate(eta: Array, least: Array, largest: Array, gradient_flow: bool) -> Array:
    """Slowest decay per step that a kernel with these extreme eigenvalues allows."""
    if gradient_flow:
        return eta * least
    with np.errstate(divide="ignore"):
        return -np.log(np.fmax(np.abs(1.0 - eta * least), np.abs(1.0 - eta * largest)))


def _described(fits: xr.Dataset) -> xr.Dataset:
    """Long names, units and descriptions, and CF flags for `rate_flag`."""
    described = {
        "rate": ("late decay rate", "1/step", "late-time decay rate of the residual norm"),
        "rate_standard_error": (
            "± late decay rate",
            "1/step",
            "standard error of rate, settling and autocorrelation included",
        ),
        "rate_window_start": ("fit window start", "step", "first step of the window in which rate is fitted"),
        "rate_window_stop": ("fit window stop", "step", "last step of the window in which rate is fitted"),
        "rate_flag": ("rate flag", "1", "whether a fit window exists, else why not"),
        "rate_own_kernel": (
            "rate by own kernel",
            "1/step",
            "decay rate that the cell's own measured kernel gives in the window",
        ),
    }
    for name, (long_name, units, description) in described.items():
        fits[name].attrs = {"long_name": long_name, "units": units, "description": description}
    fits["rate_flag"].attrs |= {"flag_values": list(range(len(FLAGS.split()))), "flag_meanings": FLAGS}
    return fits
