"""What a theorist wants to know before spending hours: spectra, steps, required widths, depth over width."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config import SweepConfig
from pipeline.predict import Prediction, effective_rates
from theory import du, du_bounds, optimizers, two_layer
from theory.spectrum import eigenvalues_with_error
from workers.data import Data

TOLERANCE = 1e-6  # relative residual that the predicted steps reach
FAILURE = 0.1  # δ, probability that Du's theorems allow themselves to fail with


def outlook(config: SweepConfig, data: Data | None, prediction: Prediction) -> dict[str, Any]:
    """Additions to the object of `theory --json`; keys are strings.

    - `condition_number`: λ_max/λ_min by depth; None where λ_min is within its rounding error of 0.
    - `steps_predicted`: by depth and learning rate, steps until an infinitely wide network's residual, from
      r(0) = −y, has fallen to 1e-6 of that; None: never.
    - `width_required`: by depth, the width that Du et al.'s theorem asks for with δ = 0.1 and its hidden
      constants taken as 1, with all layers in Du's scaling.
    - `depth_over_width` and `fourth_cumulant`: L/m and κ4/K² of an output at initialisation, by width, depth.

    Args:
        config: the sweep.
        data: its training points, or None without data.
        prediction: what `predict` gave.
    """
    depths = config.grid.depth
    found: dict[str, Any] = {}
    if data is not None:
        low, high, error = (prediction.values[f"lambda_{k}"] for k in ("min", "max", "rounding_error"))
        found["condition_number"] = {
            str(d): float(high[i] / low[i]) if low[i] > error[i] else None for i, d in enumerate(depths)
        }
        found["width_required"] = {str(d): _required(config, data, d) for d in depths}
        if config.training is not None:
            found["steps_predicted"] = _steps(config, data, prediction)
    pairs = [(width, depth) for width in config.grid.width for depth in depths]
    by_pair: dict[str, dict[str, dict[str, float]]] = {"depth_over_width": {}, "fourth_cumulant": {}}
    for width, depth in pairs:
        cumulant = float(config.network.predicted_cumulants(width, depth, (4,))[0][0])
        by_pair["depth_over_width"].setdefault(str(width), {})[str(depth)] = depth / width
        by_pair["fourth_cumulant"].setdefault(str(width), {})[str(depth)] = cumulant
    return found | by_pair


def _required(config: SweepConfig, data: Data, depth: int) -> float | None:
    """Du's width of one depth; None where his λ0 cannot be told from 0."""
    gram, activation, samples = data.x @ data.x.T, config.network.activation_object(), len(data.y)
    if depth == 1:
        eigenvalues, error = eigenvalues_with_error(two_layer.hidden_weights_kernel(gram, activation))
        least = float(eigenvalues[0])
        return du_bounds.two_layer_width(samples, least, FAILURE) if least > error else None
    least, error = du.du_kernels(gram, depth, activation).lambda_zero()
    return du_bounds.deep_width(samples, depth, least, FAILURE) if least > error else None


def _steps(config: SweepConfig, data: Data, prediction: Prediction) -> dict[str, dict[str, float | None]]:
    steps: dict[str, dict[str, float | None]] = {}
    same, rates = effective_rates(config, prediction.learning_rate_absolute)
    for d, depth in enumerate(config.grid.depth):
        for k, rate in enumerate(config.grid.learning_rates):
            needed = np.inf
            if same[d, k] and np.any(data.y):
                kernel = prediction.values["infinite_ntk"][d]
                needed = optimizers.steps_to_tolerance(kernel, -data.y, float(rates[d, k]), TOLERANCE)
            steps.setdefault(str(depth), {})[f"{rate:g}"] = float(needed) if np.isfinite(needed) else None
    return steps


def text(config: SweepConfig, found: dict[str, Any]) -> str:
    """Two tables: by depth, what training meets; by width and depth, what finite width does.

    Args:
        config: the sweep.
        found: the object of `theory --json`.
    """
    tables = [_depth_table(found), _legend(config)] if "lambda_min" in found else []
    return "\n\n".join([*tables, _width_table(config, found)])


def _legend(config: SweepConfig) -> str:
    widest = max(config.grid.width)
    lines = [
        f"Du's width: what the theorem asks for (δ = {FAILURE:g}, its hidden constants taken as 1); "
        f"this grid's largest is {widest}."
    ]
    if (scale := config.network.kernel_scale(widest, config.grid.depth[0])) != 1.0:
        grows = "width" if scale > 1.0 else "1/width"
        lines.append(f"λ and the critical η are per unit of the kernel's scale, which is {grows} here.")
    return "\n".join(lines)


def _depth_table(found: dict[str, Any]) -> str:
    rates = list(next(iter(found.get("steps_predicted", {}).values()), {}))
    header = ["depth", "λ_min(Θ)", "λ_max(Θ)", "λ_max/λ_min", "critical η"]
    header += [f"steps to 1e-6, η = {rate}" for rate in rates] + ["Du's width"]
    rows = []
    for depth in found["lambda_min"]:
        condition = found["condition_number"][depth]
        least = f"{found['lambda_min'][depth]:.4g}" if condition else "0 to rounding"
        row = [depth, least, f"{found['lambda_max'][depth]:.4g}", _number(condition)]
        row += [f"{found['critical_learning_rate'][depth]:.4g}"]
        row += [_number(found["steps_predicted"][depth][rate], "d") for rate in rates]
        rows.append([*row, _number(found["width_required"][depth], ".1e")])
    return _aligned([header, *rows])


def _width_table(config: SweepConfig, found: dict[str, Any]) -> str:
    depths = [str(depth) for depth in config.grid.depth]
    header = ["width", *(f"L/m, κ4/K²: depth {depth}" for depth in depths)]
    rows = [
        [width, *(f"{ratios[d]:.4f}, {found['fourth_cumulant'][width][d]:.4f}" for d in depths)]
        for width, ratios in found["depth_over_width"].items()
    ]
    return _aligned([header, *rows])


def _number(value: float | None, style: str = ".4g") -> str:
    if value is None:
        return "none"
    return f"{int(value)}" if style == "d" else f"{value:{style}}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )
