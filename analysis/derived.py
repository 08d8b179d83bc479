"""Numbers a cell that laws look at and that no single record holds: suprema over records, early decays."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST = ("linearized_distance", "linearized_test_distance")  # whose supremum over records is looked at
SPACES = ("information", "nuisance")
CUTOFF = 0.1  # of the config's `information_cutoff` where it is left out


def derived(config: dict[str, Any], training: xr.Dataset, theory: xr.Dataset) -> xr.Dataset:
    """What can be derived of a sweep's records, lazily; what was not measured is left out.

    - `<variable>_largest`: sup_k of the variable.
    - `trajectory_gap`: sup_k |‖r(k)‖ − ‖r(k)‖_limit| / ‖r(0)‖, of the centred model alone: without centring
      the limit is a mean over initial outputs, which one cell has no reason to follow.
    - `information_decay`, `nuisance_decay`: see `_decay`.

    Args:
        config: the resolved config.
        training: the group /training.
        theory: the group /theory, with `residual_norm_predicted` where it was predicted.

    >>> records = xr.Dataset({"linearized_distance": ("step", [0.0, 2.0, 1.0])})
    >>> float(derived({}, records, xr.Dataset())["linearized_distance_largest"])
    2.0
    """
    found = {f"{name}_largest": training[name].max("step") for name in LARGEST if name in training}
    network = config.get("network")
    centered = bool(network.get("centered", False)) if isinstance(network, dict) else False
    if centered and "residual_norm_predicted" in theory:
        norm, limit = training["residual_norm"], theory["residual_norm_predicted"]
        found["trajectory_gap"] = (abs(norm - limit) / norm.isel(step=0)).max("step")
    section = config.get("training")
    settings = section if isinstance(section, dict) else {}
    if settings.get("optimizer", "gd") == "gd" and "residual_information_norm" in training:
        cutoff = float(settings.get("information_cutoff", CUTOFF))
        found |= {f"{space}_decay": _decay(training, space, cutoff) for space in SPACES}
    return xr.Dataset(found)


def _decay(training: xr.Dataset, space: str, cutoff: float) -> xr.DataArray:
    """−log(‖Π r(k)‖ / ‖Π r(0)‖) / (−k log(1 − ηλ_c)) at the record nearest to 1/(ηλ_c).

    λ_c is the eigenvalue at the cut-off. With a fixed kernel every mode of the information space decays at
    least as fast as λ_c's, which gives 1 or more, and every mode of the nuisance space at most, which gives 1
    or less.
    """
    part = training[f"residual_{space}_norm"]
    eta = training["learning_rate_absolute"]
    least = cutoff**2 * training["ntk_max_eigenvalue"].isel(step=0)
    pace = -np.log1p(-(eta * least).clip(max=1.0 - 1e-12))
    decay: xr.DataArray = xr.apply_ufunc(
        _decay_of_cells,
        part,
        pace,
        training["step"],
        input_core_dims=[["step"], [], ["step"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return decay


def _decay_of_cells(part: Array, pace: Array, step: Array) -> Array:
    """`_decay` of cells of any shape, the records along the last axis."""
    k = np.asarray(step, dtype=np.float64)
    away = np.abs(np.log(np.maximum(k, 0.5)) + np.log(pace)[..., None])
    chosen = np.argmin(away[..., 1:], axis=-1)[..., None] + 1
    then = np.take_along_axis(part, chosen, axis=-1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = -np.log(then / part[..., 0]) / (pace * k[chosen[..., 0]])
    return np.where(np.isfinite(decay), decay, np.nan)
