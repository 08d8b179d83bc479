"""What theory says about a config: kernels, spectra, learning rates, trajectories, cumulants."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan.data import at_value
from widesweep.pipeline.predict import initialization
from widesweep.pipeline.predict.initialization import plain
from widesweep.pipeline.predict.limits import Limits
from widesweep.theory.linearised import dynamics
from widesweep.workers.data import Data
from widesweep.workers.variable import Variable

_MATRIX = ("depth", "sample", "sample_other")
_RATE = ("depth", "learning_rate")
_PER_SCALE = "per unit of the kernel's scale"
_MEAN = "root of the mean square over initial outputs, drawn from the infinite network"


@dataclass(frozen=True)
class Prediction:
    """Everything that theory predicts for a sweep.

    Attributes:
        values: arrays by name of the group /theory, with dimensions as `variables` says.
        learning_rate_absolute: η, shape (widths, depths, learning rates), further axes of the grid before the
            last; empty without training.
        kinds: how each prediction for random networks was made: "exact", "leading order", "infinite width",
            or "none" where it is NaN.
    """

    values: dict[str, np.ndarray]
    learning_rate_absolute: np.ndarray
    kinds: dict[str, str] = field(default_factory=dict)


VARIABLES = (
    Variable("target", ("sample",), "training label y"),
    Variable(
        "infinite_ntk",
        _MATRIX,
        f"infinite-width tangent kernel of one output αf over what trains, {_PER_SCALE}",
    ),
    Variable("infinite_nngp", _MATRIX, "infinite-width covariance of one output αf at initialisation"),
    Variable("lambda_min", ("depth",), "least eigenvalue of infinite_ntk"),
    Variable("lambda_max", ("depth",), "largest eigenvalue of infinite_ntk"),
    Variable("lambda_rounding_error", ("depth",), "bound on the rounding error of these eigenvalues"),
    Variable("critical_learning_rate", ("depth",), f"2/λ_max: gradient descent diverges above, {_PER_SCALE}"),
    Variable(
        "rate_predicted", _RATE, "decay of the linearised residual norm per step; −log|1 − ηλ_min| under gd"
    ),
    Variable(
        "residual_norm_predicted", (*_RATE, "step"), f"residual norm of infinitely wide training; {_MEAN}"
    ),
)


def predict(config: SweepConfig, data: Data | None, limits: Limits | None = None) -> Prediction:
    """Kernels, spectra, rates, trajectories and cumulants of a sweep.

    η of a relative learning rate is value / (λ_max c(m)), c(m) the scale of the tangent kernel at width m:
    1 under `ntk` and `du`, 1/m under `mup`, m under `standard`. Trajectories are those of gradient
    descent on ½ Σ (αf − y)². Kernels of K outputs are those of one ⊗ I_K: every eigenvalue K times, so that
    spectra and rates are those of one.

    Args:
        config: the sweep; each point of its further axes is predicted as in a sweep of its own.
        data: training points, as `load_data` gives them; None for a sweep of random networks without data.
        limits: of these points, where other predictions share them.
    """
    if limits is None and data is not None:
        limits = Limits(data.x)
    values, rates = _of_axes(config, data, limits)
    drawn, kinds = initialization.predict(config, None if data is None else data.x)
    return Prediction(values | drawn, rates, kinds)


def variables(config: SweepConfig) -> tuple[Variable, ...]:
    """What /theory may hold; what depends on a further axis lies along it."""
    ours: tuple[Variable, ...] = VARIABLES
    for axis in reversed(config.axes):
        ours = tuple(
            _along(variable, axis.name) if variable.name in axis.predictions else variable
            for variable in ours
        )
    return (*ours, *initialization.variables(config))


def _along(variable: Variable, axis: str) -> Variable:
    """After the depth, or first where there is none."""
    if "depth" in variable.dims:
        return variable.along(axis, after="depth")
    return replace(variable, dims=(axis, *variable.dims))


def _of_axes(
    config: SweepConfig, data: Data | None, limits: Limits | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values by name and η, along the first of the further axes, and within it along the others."""
    if not config.axes:
        return _of_training(config, data, limits)
    axis = config.axes[0]
    parts = [_of_axes(*at_value(data, config, axis, value), limits) for value in axis.values(config)]
    return _stacked(parts, axis.predictions)


def _of_training(
    config: SweepConfig, data: Data | None, limits: Limits | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values by name and η of a sweep without further axes."""
    values: dict[str, np.ndarray] = {}
    rates = np.empty((0, 0, 0))
    if data is not None and not config.network.has_limit:
        values["target"], rates = data.y, absolute_rates(config, np.full(len(config.grid.depth), np.nan))
    elif data is not None and limits is not None:
        values |= kernels(config, data, limits)
        if config.training is not None:
            rates = absolute_rates(config, values["lambda_max"])
            values |= _trajectories(config, data, limits, rates)
    return values, rates


def _stacked(
    parts: list[tuple[dict[str, np.ndarray], np.ndarray]], changed: frozenset[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """One array for all values, after the depth where there is one."""
    first = parts[0][0]
    places = {name: 0 if name == "target" else 1 for name in first}
    values = {
        name: np.stack([part[name] for part, _ in parts], axis=places[name])
        if name in changed
        else first[name]
        for name in first
    }
    return values, np.stack([rates for _, rates in parts], axis=2)


def summary(config: SweepConfig, prediction: Prediction) -> dict[str, Any]:
    """The object that `theory --json` prints; keys are strings, NaN is null."""
    values = prediction.values
    depths = [str(depth) for depth in config.grid.depth]
    result: dict[str, Any] = {
        name: dict(zip(depths, plain(values[name]), strict=True))
        for name in ("lambda_min", "lambda_max", "lambda_rounding_error", "critical_learning_rate")
        if name in values
    }
    keys = [f"{rate:g}" for rate in config.grid.learning_rates]
    if "rate_predicted" in values:
        rows = plain(values["rate_predicted"])
        result["rate_predicted"] = {
            d: dict(zip(keys, row, strict=True)) for d, row in zip(depths, rows, strict=True)
        }
        absolute = plain(prediction.learning_rate_absolute)
        result["learning_rate_absolute"] = {
            str(width): {d: dict(zip(keys, row, strict=True)) for d, row in zip(depths, rows, strict=True)}
            for width, rows in zip(config.grid.width, absolute, strict=True)
        }
    result |= initialization.summary(config, values, prediction.kinds)
    return result


def kernels(config: SweepConfig, data: Data, limits: Limits) -> dict[str, np.ndarray]:
    """Kernels of the infinite network and their spectra, by name of `VARIABLES`; those by depth first."""
    found = [limits.of(config.network, depth) for depth in config.grid.depth]
    lambda_max = np.array([float(limit.spectrum.eigenvalues[-1]) for limit in found])
    return {
        "target": data.y,
        "infinite_ntk": np.stack([limit.ntk for limit in found]),
        "infinite_nngp": np.stack([limit.nngp for limit in found]),
        "lambda_min": np.array([float(limit.spectrum.eigenvalues[0]) for limit in found]),
        "lambda_max": lambda_max,
        "lambda_rounding_error": np.array([limit.spectrum.error for limit in found]),
        "critical_learning_rate": np.array(
            [dynamics.critical_learning_rate(float(value)) for value in lambda_max]
        ),
    }


def absolute_rates(config: SweepConfig, lambda_max: np.ndarray) -> np.ndarray:
    """η of every (width, depth, learning rate)."""
    assert config.training is not None
    rates = np.array(config.grid.learning_rates)
    shape = (len(config.grid.width), len(config.grid.depth), len(rates))
    unit = config.training.rates_per_limit
    if unit is None:
        return np.broadcast_to(rates, shape).copy()
    return np.asarray(unit * rates / (_scales(config) * lambda_max)[:, :, None])


def _scales(config: SweepConfig) -> np.ndarray:
    """c(m) of every (width, depth)."""
    grid = config.grid
    return np.array(
        [[config.network.kernel_scale(width, depth) for depth in grid.depth] for width in grid.width]
    )


def _trajectories(
    config: SweepConfig, data: Data, limits: Limits, rates: np.ndarray
) -> dict[str, np.ndarray]:
    """Rates and residual norms; NaN where an absolute η means another flow at each width."""
    training = config.training
    assert training is not None
    steps = np.array(training.recorded_steps())
    same, effective = effective_rates(config, rates)
    per_step = np.full(same.shape, np.nan)
    norms = np.full((*same.shape, len(steps)), np.nan)
    for d, depth in enumerate(config.grid.depth):
        limit = limits.of(config.network, depth)
        eigenvalues = limit.spectrum.eigenvalues
        power = dynamics.mean_initial_power(limit.spectrum, limit.nngp, data.y)
        for k in np.flatnonzero(same[d] & (not training.unpredicted)):
            eta = float(effective[d, k])
            if eigenvalues[0] > limit.spectrum.error:  # else it cannot be told from 0: no rate is quoted
                per_step[d, k] = training.rate_per_step(eigenvalues, eta)
            norms[d, k] = training.mean_residual_norm(eigenvalues, power, eta, steps, data.outputs)
    return {"rate_predicted": per_step, "residual_norm_predicted": norms}


def effective_rates(config: SweepConfig, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """η c(m) by (depth, learning rate), and whether it is the same at every width, as the limit wants."""
    effective = rates * _scales(config)[:, :, None]
    return np.ptp(effective, axis=0) <= 1e-12 * effective.max(axis=0), effective[0]
