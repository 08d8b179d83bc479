"""Norm of the parameter Hessian H of an output f, and how much H turns the gradient in a step that f needs.

A step Δθ = −(f/Θ)∇f undoes the output at first order and changes the gradient by −(f/Θ)H∇f: in units of
‖∇f‖² = Θ that is f²‖H∇f‖²/Θ³, and f²‖H‖²/Θ² at most. Neither depends on the units of f or θ; both grow
like L/n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from widesweep.workers.networks.layers import Layer
from widesweep.workers.random_networks.measurement import Case, Measurement, with_errors

PRODUCTS = 40.0  # Lanczos steps, about
PRODUCT_FLOPS_PER_S = 4e9  # matrix-vector products run at the memory's speed
DISPATCH_S = 3e-4  # of one layer's product
BATCH_NUMBERS = 2**21  # parameters of a batch


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of ‖H‖, ‖H‖², Θ = ‖∇f‖², ‖H∇f‖² and f² over networks drawn with every weight."""
    import torch

    from widesweep.workers.random_networks import hessian

    layers = case.network.layers(case.width, case.depth, 1)
    function = hessian.output(layers, case.network.activation, torch.ones(1, dtype=torch.float64))
    stds = _stds(layers)
    batch = max(1, BATCH_NUMBERS // len(stds))
    sums = np.zeros(5)
    for first in range(0, draws, batch):
        size = min(batch, draws - first)
        parameters = torch.from_numpy(random.standard_normal((size, len(stds))) * stds)
        found = hessian.curvature(function, parameters)
        values = torch.func.vmap(function)(parameters)
        columns = (found.norm, found.norm**2, found.slope, found.bend, values**2)
        sums += [float(column.sum()) for column in columns]
    return np.asarray(sums / draws)


def _stds(layers: tuple[Layer, ...]) -> np.ndarray:
    """Standard deviation of every parameter, weights before biases."""
    parts: list[np.ndarray] = []
    for layer in layers:
        parts.append(np.full(layer.fan_in * layer.fan_out, layer.weight_std))
        if layer.bias_scale:
            parts.append(np.full(layer.fan_out, layer.bias_std))
    return np.concatenate(parts)


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """E‖H‖, E‖H‖² E[f²]/E[Θ]² and E‖H∇f‖² E[f²]/E[Θ]³."""

    def ratios(pooled: np.ndarray) -> np.ndarray:
        norm, square, slope, bend, output = (pooled[..., i] for i in range(5))
        return np.stack([norm, square * output / slope**2, bend * output / slope**3], axis=-1)

    return ratios


def draw_s(case: Case) -> float:
    """Lanczos: forward, backward and their derivatives at every step."""
    weights = case.network.parameters(case.width, case.depth, 1)
    return PRODUCTS * (8.0 * weights / PRODUCT_FLOPS_PER_S + DISPATCH_S * (case.depth + 1))


_NORM = "mean operator norm of the Hessian of f in all parameters, at an input of unit norm"
_RATIO = "E‖H‖² E[f²] / E[Θ(x, x)]²: squared operator norm, in units that f and its parameters set"
_TURN = "E‖H∇f‖² E[f²] / E[Θ(x, x)]³: squared relative change of the gradient in a step that undoes f"
MEASUREMENT = Measurement(  # nothing is predicted: theory gives the order in L/n and no constant
    variables=with_errors({"hessian_norm": _NORM, "hessian_ratio": _RATIO, "hessian_gradient": _TURN}),
    statistics=lambda settings: 5,
    means=means,
    summary=summary,
    draw_s=draw_s,
    part_draws=lambda case: 256,
    draws=lambda settings: settings.networks,
)
