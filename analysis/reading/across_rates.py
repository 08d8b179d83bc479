"""What learning rates and seeds of one network say together: the best rate, the spread of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]

DONE, DIVERGED = 1, 2
FITTED = 1e-10  # share of the first loss below which rounding, and not the rate, decides which loss is least
ACROSS = {
    "best_learning_rate": ("training/loss",),
    "prediction_spread": ("training/test_prediction",),
}


def across(training: xr.Dataset) -> dict[str, xr.DataArray]:
    """`best_learning_rate` and `prediction_spread` of a sweep's records, lazily, of what was measured.

    - `best_learning_rate`: the learning rate, in the config's unit, with the least last loss: the vertex of
      the parabola through log loss against log rate at the best rate and its two neighbours. It stands at the
      first learning rate, NaN at the others. NaN where the best one is at an end of the grid with nothing
      diverged beyond it, where a cell is not finished, or where the loss is 0 to rounding.
    - `prediction_spread`: (S/(S − 1) mean_x (f_s(x) − f̄(x))²)^½ of each seed s at the last record, f̄ the mean
      over the S seeds that are done.

    >>> across(xr.Dataset())
    {}
    """
    found = {}
    if "loss" in training and training.sizes.get("learning_rate", 0) > 2:
        found["best_learning_rate"] = _best(training)
    if "test_prediction" in training:
        found["prediction_spread"] = _spread(training)
    return found


def _best(training: xr.Dataset) -> xr.DataArray:
    def of_cells(loss: Array, status: NDArray[np.int8], rates: Array) -> Array:
        return best_rates(last_finite(loss), loss[..., 0], status, rates)

    best: xr.DataArray = xr.apply_ufunc(
        of_cells,
        training["loss"],
        training["status"],
        training["learning_rate"],
        input_core_dims=[["learning_rate", "step"], ["learning_rate"], ["learning_rate"]],
        output_core_dims=[["learning_rate"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return best


def last_finite(values: Array) -> Array:
    """The last finite entry along the last axis; NaN where there is none.

    >>> last_finite(np.array([[1.0, 2.0, np.nan]]))
    array([2.])
    """
    finite = np.isfinite(values)
    last = values.shape[-1] - 1 - np.argmax(finite[..., ::-1], axis=-1)
    taken = np.take_along_axis(values, last[..., None], axis=-1)[..., 0]
    return np.where(finite.any(-1), taken, np.nan)


def best_rates(last: Array, first: Array, status: NDArray[Any], rates: Array) -> Array:
    """See `across`; all arrays (…, rate), the result NaN but at the first rate.

    >>> rates, done = np.array([0.5, 1.0, 2.0]), np.ones((1, 3))
    >>> best_rates(np.array([[4.0, 1.0, 4.0]]), np.full((1, 3), 9.0), done, rates)
    array([[ 1., nan, nan]])
    """
    order = np.argsort(rates)
    last, first, status = (np.asarray(each)[..., order] for each in (last, first, status))
    log_rate = np.log(rates[order])
    finished = ((status == DONE) | (status == DIVERGED)).all(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_loss = np.where(status == DONE, np.log(np.maximum(last, 0.0)), np.inf)
        told = (last > FITTED * first) | (status == DIVERGED)
    log_loss = np.where(np.isnan(log_loss), np.inf, log_loss)
    place = np.clip(np.argmin(log_loss, -1), 1, len(rates) - 2)[..., None]
    left, middle, right = (np.take_along_axis(log_loss, place + i, -1)[..., 0] for i in (-1, 0, 1))
    steps = [log_rate[place[..., 0] + i] for i in (-1, 0, 1)]
    found = np.where(np.isinf(right), steps[1], _vertex(steps, (left, middle, right)))
    good = finished & told.all(-1) & (middle <= left) & (middle <= right) & np.isfinite(middle)
    result = np.full(last.shape, np.nan)
    result[..., order[0]] = np.where(good, np.exp(found), np.nan)
    return result


def _vertex(x: list[Array], y: tuple[Array, Array, Array]) -> Array:
    """Where the parabola through three points is least."""
    with np.errstate(divide="ignore", invalid="ignore"):
        before, after = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
        bend = (after - before) / (x[2] - x[0])
        found = (x[0] + x[1]) / 2.0 - before / (2.0 * bend)
    return np.where(np.isfinite(found), np.clip(found, x[0], x[2]), x[1])


def _spread(training: xr.Dataset) -> xr.DataArray:
    done = training["status"] == DONE
    last: xr.DataArray = xr.apply_ufunc(
        last_finite,
        training["test_prediction"],
        input_core_dims=[["step"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    ).where(done)
    away = ((last - last.mean("seed")) ** 2).mean("prediction")
    seeds = done.sum("seed")
    return (away * seeds / (seeds - 1).where(seeds > 1)) ** 0.5
