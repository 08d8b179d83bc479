"""Numbers a cell that laws look at and that no single record holds: suprema over records, early decays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.reading.across_rates import ACROSS, across
from widesweep.analysis.reading.margins import MARGINS, margins
from widesweep.analysis.reading.sharpening import SHARPENING, sharpening
from widesweep.analysis.reading.sweep import section

Array = NDArray[np.float64]

LARGEST = ("linearized_distance", "linearized_test_distance")  # whose supremum over records is looked at
SPACES = ("information", "nuisance")
FITTED = 0.01  # share of ‖r(0)‖ at which labels count as fitted
EXACT = {"float64": 1e-11, "float32": 1e-5}  # share of ‖r(0)‖ that rounding alone may add up to
CUTOFF = 0.1  # of the config's `information_cutoff` where it is left out

SOURCES = {  # the variables of the store that each is derived of
    **{f"{name}_largest": (f"training/{name}",) for name in LARGEST},
    "trajectory_gap": ("training/residual_norm", "theory/residual_norm_predicted"),
    **{f"{s}_decay": (f"training/residual_{s}_norm", "training/ntk_max_eigenvalue") for s in SPACES},
    **ACROSS,
    **SHARPENING,
    **MARGINS,
}


def derived(config: dict[str, Any], training: xr.Dataset, theory: xr.Dataset) -> xr.Dataset:
    """What can be derived of a sweep's records, lazily; what was not measured is left out.

    - `<variable>_largest`: sup_k of the variable; 0 where it is rounding, a share of ‖r(0)‖.
    - `trajectory_gap`: sup_k |‖r(k)‖ − ‖r(k)‖_limit| / ‖r(0)‖, of the centred model alone: without centring
      the limit is a mean over initial outputs, which one cell has no reason to follow.
    - `steps_to_fit`, `steps_to_fit_predicted`: the step at which 1 % of ‖r(0)‖ is left, of the centred model
      where `corrupted_fraction` is an axis, and in the limit; NaN where training ends before.
    - `first_stability`: ηλ_max(G(0)), above 2 of which the linearised model diverges.
    - `information_decay`, `nuisance_decay`: see `_decay`; all of `across`, `sharpening`, `margins`.

    Args:
        config: the resolved config.
        training: the group /training.
        theory: the group /theory, with `residual_norm_predicted` where it was predicted.

    >>> records = xr.Dataset({"linearized_distance": ("step", [0.0, 2.0, 1.0])})
    >>> float(derived({}, records, xr.Dataset())["linearized_distance_largest"])
    2.0
    """
    settings = section(config, "training")
    found = {f"{name}_largest": training[name].max("step") for name in LARGEST if name in training}
    if "residual_norm" in training:
        rounding = EXACT[str(settings.get("dtype", "float64"))] * training["residual_norm"].isel(
            step=0, drop=True
        )
        found = {name: value.where(~(value <= rounding), 0.0) for name, value in found.items()}
    if "ntk_max_eigenvalue" in training:
        largest = training["ntk_max_eigenvalue"].isel(step=0, drop=True)
        found["first_stability"] = training["learning_rate_absolute"] * largest
    if section(config, "network").get("centered", False) and "residual_norm_predicted" in theory:
        norm, limit = training["residual_norm"], theory["residual_norm_predicted"]
        found["trajectory_gap"] = (abs(norm - limit) / norm.isel(step=0)).max("step")
        if "corrupted_fraction" in training.dims:
            found |= {
                name: per_cell(_steps_to_fit, each, each["step"])
                for name, each in (("steps_to_fit", norm), ("steps_to_fit_predicted", limit))
            }
    if settings.get("optimizer", "gd") == "gd" and "residual_information_norm" in training:
        cutoff = float(settings.get("information_cutoff", CUTOFF))
        found |= {f"{space}_decay": _decay(training, space, cutoff) for space in SPACES}
    if "status" in training:
        found |= across(training) | sharpening(training) | margins(config, training, theory)
    return xr.Dataset(found)


def per_cell(function: Callable[..., Array], *values: xr.DataArray) -> xr.DataArray:
    """A function of each cell's records, along the last axis, and of its single numbers; lazily.

    >>> float(per_cell(lambda records: records.max(-1), xr.DataArray([1.0, 3.0], dims="step")))
    3.0
    """
    found: xr.DataArray = xr.apply_ufunc(
        function,
        *values,
        input_core_dims=[["step"] if "step" in each.dims else [] for each in values],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return found


def _steps_to_fit(norm: Array, step: Array) -> Array:
    """The step at which 1 % of the first residual is left, log ‖r‖ linear between records."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.log(norm / norm[..., :1]) - np.log(FITTED)
        below = left <= 0.0
        after = np.maximum(np.argmax(below, axis=-1), 1)
        late, early = (np.take_along_axis(left, (after - i)[..., None], axis=-1)[..., 0] for i in (0, 1))
        share = np.where(np.isfinite(late), early / (early - late), 1.0)
    found = step[after - 1] + share * (step[after] - step[after - 1])
    return np.where(below.any(axis=-1), found, np.nan)


def _decay(training: xr.Dataset, space: str, cutoff: float) -> xr.DataArray:
    """−log(‖Π r(k)‖ / ‖Π r(0)‖) / (−k log(1 − ηλ_c)) at the record nearest to 1/(ηλ_c).

    λ_c is the eigenvalue at the cut-off. With a fixed kernel every mode of the information space decays at
    least as fast as λ_c's, which gives 1 or more, and every mode of the nuisance space at most, which gives 1
    or less.
    """
    eta = training["learning_rate_absolute"]
    least = cutoff**2 * training["ntk_max_eigenvalue"].isel(step=0)
    pace = xr.DataArray(-np.log1p(-(eta * least).clip(max=1.0 - 1e-12)))
    return per_cell(_decay_of_cells, training[f"residual_{space}_norm"], pace, training["step"])


def _decay_of_cells(part: Array, pace: Array, step: Array) -> Array:
    """`_decay` of cells of any shape, the records along the last axis."""
    k = np.asarray(step, dtype=np.float64)
    away = np.abs(np.log(np.maximum(k, 0.5)) + np.log(pace)[..., None])
    chosen = np.argmin(away[..., 1:], axis=-1)[..., None] + 1
    then = np.take_along_axis(part, chosen, axis=-1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = -np.log(then / part[..., 0]) / (pace * k[chosen[..., 0]])
    return np.where(np.isfinite(decay), decay, np.nan)
