"""Mean and relative variance of ‖∂z/∂x‖²: exploding and vanishing gradients where the variance is large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from widesweep.theory.finite_width import fluctuations
from widesweep.workers.random_networks import backward, conditional_variance
from widesweep.workers.random_networks.measurement import (
    EXACT,
    FEW_DRAWS,
    NONE,
    Case,
    Measurement,
    Prediction,
    mean_of_chunks,
    predictions,
    with_errors,
)


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of ‖∇‖² and ‖∇‖⁴ given all but W^(1) orthogonal to x, in units of d K and its square.

    Given these the gradient is s along x and N(0, c) in each of the d − 1 directions across.
    """
    unit, d = _unit(case), _inputs(case)
    if case.scale_invariant:
        return mean_of_chunks(lambda n: _backwards_alone(case, n, random), draws, 4)

    def sample(count: int) -> np.ndarray:
        found = backward.sample(case.fully_connected, case.width, case.depth, count, random)
        along, across = found.along**2 / unit, found.across / unit
        second = along**2 + 2 * (d - 1) * along * across + (d - 1) * (d + 1) * across**2
        return np.stack([along + (d - 1) * across, second])

    return mean_of_chunks(sample, draws, case.width * case.depth)


def _backwards_alone(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """‖∇‖² is c χ²_d where c has the law of q: the product of the layers' factors, run backwards."""
    d = _inputs(case)
    q = conditional_variance.sample(case.fully_connected, case.width, case.depth, draws, random)
    c = q / conditional_variance.limit(case.network, case.depth)
    return np.stack([c, c**2 * (1.0 + 2.0 / d)])


def _inputs(case: Case) -> int:
    assert case.x is not None
    return int(case.x.shape[1])


def _unit(case: Case) -> float:
    """d K times the output's share under `mup`: about the mean of ‖∇‖²."""
    share = 1.0 / case.width if case.fully_connected.parameterization == "mup" else 1.0
    return share * _inputs(case) * conditional_variance.limit(case.network, case.depth)


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """Mean, relative variance, and what of that the layers after the first have added."""
    unit, own = _unit(case), 1.0 + 2.0 / _inputs(case)

    def moments(pooled: np.ndarray) -> np.ndarray:
        first, second = pooled[..., 0], pooled[..., 1]
        ratio = second / first**2
        return np.stack([unit * first, ratio - 1.0, ratio / own - 1.0], axis=-1)

    return moments


def predict(case: Case) -> dict[str, Prediction]:
    """Exact for scale-invariant activations without biases; nothing is predicted for others."""
    mean, variance, kind = float("nan"), float("nan"), NONE
    if case.scale_invariant:
        mean, kind = _unit(case), EXACT
        variance = fluctuations.gradient_variance(
            [case.width] * case.depth, _inputs(case), case.network.activation_object()
        )
    return {
        "input_gradient_mean_predicted": (mean, kind),
        "input_gradient_variance_predicted": (variance, kind),
        "input_gradient_excess_predicted": ((1.0 + variance) / (1.0 + 2.0 / _inputs(case)) - 1.0, kind),
    }


def draw_s(case: Case) -> float:
    """As a draw of q where that will do; else a forward and a backward pass."""
    if case.scale_invariant:
        return conditional_variance.draw_s(case)
    return case.depth * case.width * (2.0 * case.neuron_s + 30e-9)


_MEANINGS = {
    "input_gradient_mean": "E‖∂z/∂x‖² at an input of unit norm",
    "input_gradient_variance": "Var‖∂z/∂x‖² / E[‖∂z/∂x‖²]²",
    "input_gradient_excess": (
        "(1 + Var‖∂z/∂x‖² / E[‖∂z/∂x‖²]²) / (1 + 2/inputs) − 1: what layers after the first add"
    ),
}
MEASUREMENT = Measurement(
    variables=with_errors(_MEANINGS),
    predicted=predictions(_MEANINGS),
    means=means,
    summary=summary,
    predict=predict,
    draw_s=draw_s,
    part_draws=lambda case: conditional_variance.part_draws(case) if case.scale_invariant else FEW_DRAWS,
    needs_points=True,
)
