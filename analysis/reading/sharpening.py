"""How the loss's curvature moved along training: its growth, where it settled, how high the loss rose."""

from __future__ import annotations

import numpy as np
import xarray as xr

LATE = 0.5  # share of the steps after which records are late
SHARPENING = {
    "sharpness_growth": ("training/sharpness",),
    "sharpness_late": ("training/sharpness",),
    "sharpness_largest": ("training/sharpness",),
    "loss_peak": ("training/loss",),
}


def sharpening(training: xr.Dataset) -> dict[str, xr.DataArray]:
    """What can be said of a sweep's records, lazily; what was not measured is left out.

    - `loss_peak`: max_k L(k)/L(0).
    - `sharpness_largest`, `sharpness_late`: the largest record, and the mean of those in the second half.
    - `sharpness_growth`: |log(late / first)|.

    >>> records = xr.Dataset({"loss": ("step", [1.0, 3.0, 0.5])})
    >>> float(sharpening(records)["loss_peak"])
    3.0
    """
    found = {}
    if "loss" in training:
        found["loss_peak"] = training["loss"].max("step") / training["loss"].isel(step=0, drop=True)
    if "sharpness" in training:
        values, step = training["sharpness"], training["step"]
        late = values.where(step >= LATE * step.max()).mean("step")
        found |= {"sharpness_largest": values.max("step"), "sharpness_late": late}
        growth = late / values.isel(step=0, drop=True)
        found["sharpness_growth"] = growth.copy(data=abs(np.log(growth.data)))
    return found
