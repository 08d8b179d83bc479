"""K^(L)(x, x) and ∂∂'K^(L) at finite width: means over networks, depth by depth, beside their recursions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from widesweep.theory.infinite_width.depth import finite_width_means, kernel_by_depth
from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.random_networks import conditional_covariance
from widesweep.workers.random_networks.measurement import (
    EXACT,
    LEADING,
    LIMIT,
    PLACE,
    Case,
    Measurement,
    Prediction,
    mean_of_chunks,
    with_errors,
)
from widesweep.workers.variable import Variable


def _limits(case: Case) -> np.ndarray:
    """K and ∂∂'K of the output as width grows."""
    return np.array(_recursion(case.fully_connected, case.depth))


@lru_cache(maxsize=64)
def _recursion(network: FullyConnected, depth: int) -> tuple[float, float]:
    found = kernel_by_depth(depth, network.activation_object(), **_variances(network))
    return float(found.kernel[-1]), float(found.derivative[-1])


def _variances(network: FullyConnected) -> dict[str, float]:
    first, others = network.variances()
    return {
        "weight_variance": others,
        "bias_variance": network.bias_variance,
        "first_weight_variance": first,
    }


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of q and of the derivative's variance given the hidden layers, over their limits, less 1."""
    limits = _limits(case)[:, None]

    def sample(count: int) -> np.ndarray:
        s = conditional_covariance.sample_tangents(
            case.fully_connected, case.width, case.depth, count, random
        )
        return np.asarray(np.einsum("bii->ib", s) / limits - 1.0)

    return mean_of_chunks(sample, draws, 2 * case.width)


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """Back in absolute units."""
    limits = _limits(case)
    return lambda pooled: np.asarray(limits * (1.0 + pooled))


def predict(case: Case) -> dict[str, Prediction]:
    """The recursions without and with the means' 1/m corrections: exact for scale-invariant activations."""
    kernel, derivative = _limits(case)
    network = case.fully_connected
    corrected = finite_width_means(case.width, case.depth, network.activation_object(), **_variances(network))
    exact = case.scale_invariant
    return {
        "kernel_predicted": (float(kernel), EXACT if exact else LIMIT),
        "kernel_mean_predicted": (corrected.kernel, EXACT if exact else LEADING),
        "kernel_derivative_predicted": (float(derivative), EXACT if exact else LIMIT),
        "kernel_derivative_mean_predicted": (corrected.derivative, EXACT if exact else LEADING),
    }


_KERNEL = "K^(L)(x, x) = E[z²] of an output at an input of unit norm, 1/√m scaling"
_DERIVATIVE = "∂∂'K^(L) = E[(∂_u z)²], u a unit vector orthogonal to x"
MEASUREMENT = Measurement(
    variables=with_errors({"kernel_mean": _KERNEL, "kernel_derivative_mean": _DERIVATIVE}),
    predicted=(
        Variable("kernel_predicted", PLACE, f"{_KERNEL}: the infinite-width recursion"),
        Variable("kernel_mean_predicted", PLACE, f"{_KERNEL}: the recursion with the mean's 1/m correction"),
        Variable(
            "kernel_derivative_predicted",
            PLACE,
            f"{_DERIVATIVE}: the infinite-width recursion",
            label="limiting kernel derivative",
        ),
        Variable(
            "kernel_derivative_mean_predicted",
            PLACE,
            f"{_DERIVATIVE}: the same with a 1/m correction",
            label="kernel derivative mean",
        ),
    ),
    means=means,
    summary=summary,
    predict=predict,
    draw_s=lambda case: case.depth * case.width * (2.0 * case.neuron_s + 15e-9),
)
