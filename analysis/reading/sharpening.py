"""How the loss's curvature moved along training: its growth, where it settled, how high the loss rose."""

from __future__ import annotations

import numpy as np
import xarray as xr

from widesweep.analysis.reading.across_rates import last_finite

LATE = 0.5  # share of the steps after which records are late
SHARPENING = {
    "sharpness_growth": ("training/sharpness",),
    "sharpness_late": ("training/sharpness",),
    "sharpness_largest": ("training/sharpness",),
    "loss_peak": ("training/loss",),
    "flat_room": ("training/sharpness", "training/learning_rate_absolute"),
    "catapult_room": ("training/ntk_max_eigenvalue", "training/learning_rate_absolute"),
}


def sharpening(training: xr.Dataset) -> dict[str, xr.DataArray]:
    """What can be said of a sweep's records, lazily; what was not measured is left out.

    - `loss_peak`: max_k L(k)/L(0).
    - `sharpness_largest`, `sharpness_late`: the largest record, and the mean of those in the second half.
    - `catapult_room`, `flat_room`: 2/(ηλ_max) at the last record, of G (of cells where ηλ_max(G(0)) > 2)
      and of the loss's Hessian.
    - `sharpness_growth`: |log(late / first)|.

    >>> records = xr.Dataset({"loss": ("step", [1.0, 3.0, 0.5])})
    >>> float(sharpening(records)["loss_peak"])
    3.0
    """
    found = {}
    if "loss" in training:
        found["loss_peak"] = training["loss"].max("step") / training["loss"].isel(step=0, drop=True)
    for name, matrix in (("catapult_room", "ntk_max_eigenvalue"), ("flat_room", "sharpness")):
        if matrix in training and "learning_rate_absolute" in training:
            eta = training["learning_rate_absolute"]
            found[name] = 2.0 / (_last(training[matrix]) * eta)
            if name == "catapult_room":
                first = eta * training[matrix].isel(step=0, drop=True)
                found[name] = found[name].where(first > 2.0)
    if "sharpness" in training:
        values, step = training["sharpness"], training["step"]
        late = values.where(step >= LATE * step.max()).mean("step")
        found |= {"sharpness_largest": values.max("step"), "sharpness_late": late}
        growth = late / values.isel(step=0, drop=True)
        found["sharpness_growth"] = growth.copy(data=abs(np.log(growth.data)))
    return found


def _last(values: xr.DataArray) -> xr.DataArray:
    last: xr.DataArray = xr.apply_ufunc(
        last_finite,
        values,
        input_core_dims=[["step"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return last
