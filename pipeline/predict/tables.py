"""What a theorist wants to know before spending hours: spectra, steps, required widths, depth over width."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from widesweep.pipeline.config.axes import AXES
from widesweep.pipeline.config.axes.axis import Axis
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.plan.data import at_value
from widesweep.pipeline.predict import regimes
from widesweep.pipeline.predict.limits import Limits
from widesweep.pipeline.predict.prediction import Prediction, effective_rates, predict, summary
from widesweep.theory.bounds import du_bounds
from widesweep.theory.linearised import optimizers
from widesweep.workers.data import Data

TOLERANCE = 1e-6  # relative residual that the predicted steps reach
FAILURE = 0.1  # δ, probability that Du's theorems allow themselves to fail with
REASONS = {  # why a value may be none
    "rate_predicted": "λ_min is 0 to rounding, noise ends the decay, η means another flow at each width, or "
    "nothing is predicted of this optimiser",
    "steps_predicted": "training never gets there, or η means another flow at each width",
    "condition_number": "λ_min is 0 to rounding",
    "width_required": "not of Du's networks or loss, his λ0 is 0 to rounding, or float64 does not hold it",
    "fourth_cumulant": "no law is known for this kind of network, or float64 does not hold its value",
}
NO_VALUE = "no law is known here, or float64 does not hold its value"
COLUMNS = {"steps_predicted": "steps", "width_required": "Du's width", "fourth_cumulant": "κ4/K²"}
DU_KINDS = ("two_layer", "fully_connected")  # residual networks have a theorem of their own


def predictions(config: SweepConfig, data: Data | None) -> dict[str, Any]:
    """The object of `theory --json`; keys are strings.

    What has no finite value is None, and `reasons` says why.

    What depends on a further axis of the grid, such as `output_scale`, is given for each of its values, whose
    key is below the depth's.

    Args:
        config: the sweep.
        data: its training points, or None without data.
    """
    found = _of_axes(config, data, None if data is None else Limits(data.x))
    found = {name: _numbers(value) for name, value in found.items()}
    known = REASONS | _unpredicted(config)
    reasons = {name: known.get(name, NO_VALUE) for name, value in found.items() if _has_none(value)}
    found |= {"reasons": reasons} if reasons else {}
    return found | {"laws": regimes.regimes(config)}


def _unpredicted(config: SweepConfig) -> dict[str, str]:
    """Reasons of what theory does not say of any such training."""
    reason = config.training.unpredicted if config.training is not None else ""
    return dict.fromkeys(("rate_predicted", "steps_predicted"), reason) if reason else {}


def _of_axes(config: SweepConfig, data: Data | None, limits: Limits | None) -> dict[str, Any]:
    """What does not depend on the first of the further axes, and what does, its values as keys."""
    if not config.axes:
        prediction = predict(config, data, limits)
        return summary(config, prediction) | outlook(config, data, prediction, limits)
    axis = config.axes[0]
    founds = {
        repr(value).removesuffix(".0"): _of_axes(*at_value(data, config, axis, value), limits)
        for value in axis.values(config)
    }
    found = next(iter(founds.values()))
    nested = {
        name: _nested({value: one[name] for value, one in founds.items()}, level)
        for name, level in (axis.tables or {}).items()
        if name in found
    }
    return {**found, axis.name: list(founds), **nested}


def _numbers(value: Any) -> Any:
    """The same with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _has_none(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_has_none, inside))


def _nested(by_variant: dict[str, Any], level: int) -> dict[str, Any]:
    """Variants as keys below so many levels of the keys that all of them share."""
    if level == 0:
        return by_variant
    keys = next(iter(by_variant.values()))
    return {key: _nested({v: one[key] for v, one in by_variant.items()}, level - 1) for key in keys}


def outlook(
    config: SweepConfig, data: Data | None, prediction: Prediction, limits: Limits | None
) -> dict[str, Any]:
    """Additions to the object of `theory --json`; keys are strings.

    - `condition_number`: λ_max/λ_min by depth; None where λ_min is within its rounding error of 0.
    - `steps_predicted`: by depth and learning rate, steps until an infinitely wide network's residual, from
      r(0) = −y, has fallen to 1e-6 of that; None: never.
    - `width_required`: by depth, the width that Du et al.'s theorem asks for with δ = 0.1 and its hidden
      constants taken as 1, with all layers in Du's scaling; None for networks that it is not about.
    - `depth_over_width` and `fourth_cumulant`: L/m and κ4/K² of an output at initialisation, by width, depth.

    Args:
        config: the sweep.
        data: its training points, or None without data.
        prediction: what `predict` gave.
        limits: of the training points; None without data.
    """
    depths = config.grid.depth
    found: dict[str, Any] = {}
    if data is not None and limits is not None:
        low, high, error = (prediction.values[f"lambda_{k}"] for k in ("min", "max", "rounding_error"))
        found["condition_number"] = {
            str(d): float(high[i] / low[i]) if low[i] > error[i] else None for i, d in enumerate(depths)
        }
        found["width_required"] = {str(d): _required(config, len(data.y), limits, d) for d in depths}
        if config.training is not None:
            found["steps_predicted"] = _steps(config, data, prediction, limits)
    pairs = [(width, depth) for width in config.grid.width for depth in depths]
    by_pair: dict[str, dict[str, dict[str, float]]] = {"depth_over_width": {}, "fourth_cumulant": {}}
    for width, depth in pairs:
        cumulant = float(config.network.predicted_cumulants(width, depth, (4,))[0][0])
        by_pair["depth_over_width"].setdefault(str(width), {})[str(depth)] = depth / width
        by_pair["fourth_cumulant"].setdefault(str(width), {})[str(depth)] = cumulant
    return found | by_pair


def _required(config: SweepConfig, samples: int, limits: Limits, depth: int) -> float | None:
    """Du's width of one depth; None where his λ0 is 0 to rounding, or his theorem is of other networks."""
    network = config.network
    if network.kind not in DU_KINDS or network.trains == "last":
        return None
    if config.training is not None and config.training.loss != "squared":
        return None
    least, error = limits.lambda_zero(network.activation_object(), depth)
    if least <= error:
        return None
    if depth == 1:
        return du_bounds.two_layer_width(samples, least, FAILURE)
    return du_bounds.deep_width(samples, depth, least, FAILURE)


def _steps(
    config: SweepConfig, data: Data, prediction: Prediction, limits: Limits
) -> dict[str, dict[str, float | None]]:
    steps: dict[str, dict[str, float | None]] = {}
    same, rates = effective_rates(config, prediction.learning_rate_absolute)
    for d, depth in enumerate(config.grid.depth):
        for k, rate in enumerate(config.grid.learning_rates):
            needed = np.inf
            if same[d, k] and np.any(data.y) and not _unpredicted(config):
                spectrum = limits.of(config.network, depth).spectrum
                needed = optimizers.steps_to_tolerance(spectrum, -data.y, float(rates[d, k]), TOLERANCE)
            steps.setdefault(str(depth), {})[f"{rate:g}"] = float(needed) if np.isfinite(needed) else None
    return steps


def text(config: SweepConfig, found: dict[str, Any]) -> str:
    """Two tables: by depth, what training meets; by width and depth, what finite width does.

    Args:
        config: the sweep.
        found: the object of `theory --json`.
    """
    tables = [_depth_table(found), _legend(config, found)] if "lambda_min" in found else []
    shown = (
        COLUMNS if "width_required" not in found or _has_du(found) else COLUMNS.keys() - {"width_required"}
    )
    laws = regimes.text(found.get("laws", {}))
    why = [f"{COLUMNS[name]} none: {reason}." for name, reason in _reasons(found) if name in shown]
    return "\n\n".join(part for part in [*tables, _width_table(config, found), "\n".join(why), laws] if part)


def _reasons(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    reasons: dict[str, str] = found.get("reasons", {})
    return reasons.items()


def _legend(config: SweepConfig, found: dict[str, Any]) -> str:
    widest = max(config.grid.width)
    lines = []
    if _has_du(found):
        lines.append(
            f"Du's width: what the theorem asks for (δ = {FAILURE:g}, its hidden constants taken as 1); "
            f"this grid's largest is {widest}."
        )
    if (scale := config.network.kernel_scale(widest, config.grid.depth[0])) != 1.0:
        grows = "width" if scale > 1.0 else "1/width"
        lines.append(f"λ and the critical η are per unit of the kernel's scale, which is {grows} here.")
    return "\n".join(lines)


def _has_du(found: dict[str, Any]) -> bool:
    return any(width is not None for width in found["width_required"].values())


def _depth_table(found: dict[str, Any]) -> str:
    axes = [axis for axis in AXES.values() if axis.name in found]
    points = list(itertools.product(*(found[axis.name] for axis in axes)))
    rows = [_depth_row(found, axes, depth, point) for depth in found["lambda_min"] for point in points]
    header = [
        "depth",
        *(axis.symbol for axis in axes),
        "λ_min(Θ)",
        "λ_max(Θ)",
        "λ_max/λ_min",
        "critical η",
    ]
    rates = _of_depth(found, axes, "steps_predicted", next(iter(found["lambda_min"])), points[0])
    header += [f"steps to 1e-6, η = {rate}" for rate in rates] + ["Du's width"]
    if not _has_du(found):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return _aligned([header, *rows])


def _depth_row(found: dict[str, Any], axes: list[Axis], depth: str, point: tuple[str, ...]) -> list[str]:
    condition = found["condition_number"][depth]
    least, largest, critical = (
        _number(_of_depth(found, axes, name, depth, point))
        for name in ("lambda_min", "lambda_max", "critical_learning_rate")
    )
    row = [depth, *point, least if condition else "0 to rounding", largest]
    row += [_number(condition), critical]
    row += [_number(steps, "d") for steps in _of_depth(found, axes, "steps_predicted", depth, point).values()]
    return [*row, _number(found["width_required"][depth], ".1e")]


def _of_depth(found: dict[str, Any], axes: list[Axis], name: str, depth: str, point: tuple[str, ...]) -> Any:
    by_depth = found.get(name, {}).get(depth, {})
    for axis, value in zip(axes, point, strict=True):
        by_depth = by_depth.get(value, {}) if name in (axis.tables or {}) else by_depth
    return by_depth


def _width_table(config: SweepConfig, found: dict[str, Any]) -> str:
    depths = [str(depth) for depth in config.grid.depth]
    header = ["width", *(f"L/m, κ4/K²: depth {depth}" for depth in depths)]
    rows = [
        [width, *(f"{ratios[d]:.4f}, {_number(found['fourth_cumulant'][width][d], '.4f')}" for d in depths)]
        for width, ratios in found["depth_over_width"].items()
    ]
    return _aligned([header, *rows])


def _number(value: float | None, style: str = ".4g") -> str:
    if value is None:
        return "none"
    if abs(value) >= 1e9:
        style = ".4g" if style in ("d", ".4f") else style
    return f"{int(value)}" if style == "d" else f"{value:{style}}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )
