"""How much room each cell's records leave below the theorems' bounds: 1 where they touch, less if broken."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from widesweep.analysis.reading.sweep import section

FLOOR = {"float64": 1e-12, "float32": 1e-6}  # share of ‖r(0)‖ below which rounding rules the residual
CONDITIONS = ("du_start", "du_kernel", "du_loss", "du_drift", "du_second_order", "du_output_step")
_NORM, _LEAST = "training/residual_norm", "training/ntk_min_eigenvalue"
MARGINS = {
    "du_convergence_room": (_NORM, "theory/rate_predicted"),
    "du_convergence_asked": ("theory/rate_predicted",),
    "flow_loss_room": (_NORM, _LEAST),
    "flow_drift_room": ("training/parameter_change", _NORM, _LEAST, "training/ntk_max_eigenvalue"),
    "oymak_residual_room": (_NORM, "training/residual_information_norm", "training/residual_nuisance_norm"),
    "oymak_residual_asked": ("training/residual_nuisance_norm",),
    **{f"{name}_room": (f"training/{name}",) for name in CONDITIONS},
}


def margins(config: dict[str, Any], training: xr.Dataset, theory: xr.Dataset) -> dict[str, xr.DataArray]:
    """Room below each bound over a sweep's records, lazily, and what the bound asks; see `laws.bounds`.

    - `du_convergence_room`: min_k of −log(‖r(k)‖²/‖r(0)‖²) over −k log(1 − ηλ0/2), of descent with λ0 the
      least eigenvalue of the infinite-width kernel; `du_convergence_asked`: 1 − (1 − ηλ0/2)^k at the end.
    - `flow_loss_room`: min_t of log(R(0)/R(t)) over 2λt, of gradient flow with λ the least eigenvalue so far.
    - `flow_drift_room`: (2λ_max R(0))^½/λ over max_t ‖w(t) − w(0)‖, λ and λ_max over the path.
    - `oymak_residual_room`: min_k of (1 − ηα²)^k ‖Π_I r(0)‖ + ‖Π_N r(0)‖ over ‖r(k)‖;
      `oymak_residual_asked`: 1 − ‖Π_N r(0)‖/‖r(0)‖.
    - `du_…_room`: 1 where the condition was true at every record, else 0.

    >>> margins({}, xr.Dataset(), xr.Dataset())
    {}
    """
    settings = section(config, "training")
    found = {f"{name}_room": training[name].min("step") for name in CONDITIONS if name in training}
    if "residual_norm" not in training:
        return found
    floor = FLOOR.get(str(settings.get("dtype", "float64")), FLOOR["float64"])
    norm = training["residual_norm"]
    share = norm / norm.isel(step=0, drop=True)
    decay = -2.0 * _log(share.where((share > floor) & (norm["step"] > 0)))
    optimizer = settings.get("optimizer", "gd")
    if optimizer == "gd" and "rate_predicted" in theory:
        found |= _du(training, theory, decay)
    if optimizer == "gradient_flow" and "ntk_min_eigenvalue" in training:
        found |= _flow(training, norm, decay)
    if optimizer == "gd" and "residual_information_norm" in training:
        found |= _oymak(training, norm.where(share > floor), float(settings.get("information_cutoff", 0.1)))
    return found


def _du(training: xr.Dataset, theory: xr.Dataset, decay: xr.DataArray) -> dict[str, xr.DataArray]:
    rate = theory["rate_predicted"]
    rate = rate.sel({dim: training[dim] for dim in rate.dims if dim in training.dims})
    per_step = -_log(1.0 - 0.5 * (1.0 - math.e ** (-rate)))
    asked = 1.0 - math.e ** (-per_step * training["step"].max())
    return {
        "du_convergence_room": (decay / (per_step * training["step"])).min("step"),
        "du_convergence_asked": asked.where(training["status"] == 1),
    }


def _flow(training: xr.Dataset, norm: xr.DataArray, decay: xr.DataArray) -> dict[str, xr.DataArray]:
    least, eta = training["ntk_min_eigenvalue"], training["learning_rate_absolute"]
    so_far = least.rolling(step=least.sizes["step"], min_periods=1).min()
    found = {"flow_loss_room": (decay / (2.0 * eta * so_far * training["step"])).min("step")}
    if "parameter_change" in training:
        largest = training["ntk_max_eigenvalue"].max("step")
        bound = largest**0.5 * norm.isel(step=0, drop=True) / least.min("step")
        found["flow_drift_room"] = bound / training["parameter_change"].max("step")
    return found


def _oymak(training: xr.Dataset, norm: xr.DataArray, cutoff: float) -> dict[str, xr.DataArray]:
    inside, outside = (
        training[f"residual_{space}_norm"].isel(step=0, drop=True) for space in ("information", "nuisance")
    )
    squared = cutoff**2 * training["ntk_max_eigenvalue"].isel(step=0, drop=True)
    shrink = (1.0 - training["learning_rate_absolute"] * squared).clip(min=0.0)
    bound = shrink ** training["step"] * inside + outside
    return {
        "oymak_residual_room": (bound / norm).min("step"),
        "oymak_residual_asked": 1.0 - outside / norm.isel(step=0, drop=True),
    }


def _log(values: xr.DataArray) -> xr.DataArray:
    logs: xr.DataArray = xr.apply_ufunc(np.log, values, dask="allowed")
    return logs
