"""Mean and relative variance of the tangent kernel's diagonal Θ(x, x) at finite width."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from widesweep.theory.finite_width import fluctuations
from widesweep.workers.networks.network import Network
from widesweep.workers.random_networks import backward
from widesweep.workers.random_networks.measurement import (
    EXACT,
    LIMIT,
    NONE,
    Case,
    Measurement,
    Prediction,
    mean_of_chunks,
    predictions,
    with_errors,
)


def limit(case: Case) -> float:
    """Θ(x, x) as width grows, at the kernel's scale of this width; the output scale is left out."""
    return _diagonal(case.network, case.depth) * case.network.kernel_scale(case.width, case.depth)


@lru_cache(maxsize=64)
def _diagonal(network: Network, depth: int) -> float:
    return float(network.kernels(np.ones((1, 1)), depth).ntk(network.trains)[0, 0])


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of Θ/Θ^∞ − 1 and its square."""
    centre = limit(case)

    def sample(count: int) -> np.ndarray:
        found = backward.sample(case.fully_connected, case.width, case.depth, count, random)
        x = found.ntk / centre - 1.0
        return np.stack([x, x * x])

    return mean_of_chunks(sample, draws, case.width * case.depth)


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """Mean and relative variance."""
    centre = limit(case)

    def moments(pooled: np.ndarray) -> np.ndarray:
        first, second = pooled[..., 0], pooled[..., 1]
        return np.stack([centre * (1.0 + first), (second - first**2) / (1.0 + first) ** 2], axis=-1)

    return moments


def predict(case: Case) -> dict[str, Prediction]:
    """Exact where every layer has the same mean part: scale-invariant, no biases, all layers train."""
    network = case.fully_connected
    exact = case.scale_invariant and network.trains == "all" and network.parameterization != "standard"
    variance = float("nan")
    if exact:
        widths = [case.width] * case.depth
        variance = fluctuations.ntk_second_moment(widths, network.activation_object()) - 1.0
    return {
        "ntk_mean_predicted": (limit(case), EXACT if exact else LIMIT),
        "ntk_variance_predicted": (variance, EXACT if exact else NONE),
    }


_MEANINGS = {
    "ntk_mean": "E[Θ(x, x)] of f over what trains, at an input of unit norm",
    "ntk_variance": "Var Θ(x, x) / E[Θ(x, x)]²",
}
MEASUREMENT = Measurement(
    variables=with_errors(_MEANINGS),
    predicted=predictions(_MEANINGS),
    means=means,
    summary=summary,
    predict=predict,
    draw_s=lambda case: case.depth * case.width * (2.0 * case.neuron_s + 30e-9),
)
