"""Cov(z₁², z₂²)/K² of two outputs of one network: Var(q)/E[q]², for the outputs share q and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from widesweep.workers.networks.two_layer import TwoLayer, symmetric_moments
from widesweep.workers.random_networks import conditional_variance
from widesweep.workers.random_networks.measurement import (
    EXACT,
    Case,
    Measurement,
    Prediction,
    mean_of_chunks,
    predictions,
    with_errors,
)


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of q/K − 1 and its square, K the infinite-width variance."""
    limit = conditional_variance.limit(case.network, case.depth)

    def sample(count: int) -> np.ndarray:
        x = conditional_variance.sample(case.network, case.width, case.depth, count, random) / limit - 1.0
        return np.stack([x, x * x])

    return mean_of_chunks(sample, draws, conditional_variance.numbers(case))


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """Var(q)/E[q]² from means of q/K − 1 and its square."""

    def covariance(pooled: np.ndarray) -> np.ndarray:
        first, second = pooled[..., 0], pooled[..., 1]
        return np.asarray((second - first**2) / (1.0 + first) ** 2)[..., None]

    return covariance


def predict(case: Case) -> dict[str, Prediction]:
    """κ4/(3K²) where the output layer is Gaussian; (E[σ⁴]/E[σ²]² − 1)/m of the two-layer network."""
    if isinstance(case.network, TwoLayer):
        moments = symmetric_moments(case.network.activation_object(), 4)
        return {"output_covariance_predicted": ((moments[4] / moments[2] ** 2 - 1.0) / case.width, EXACT)}
    fourth, kind = case.network.predicted_cumulants(case.width, case.depth, (4,))
    return {"output_covariance_predicted": (float(fourth[0]) / 3.0, kind)}


_MEANING = "Cov(z_1², z_2²) / K² of two outputs of one network at initialisation, K their variance"
MEASUREMENT = Measurement(
    variables=with_errors({"output_covariance": _MEANING}),
    predicted=predictions({"output_covariance": _MEANING}),
    means=means,
    summary=summary,
    predict=predict,
    draw_s=conditional_variance.draw_s,
    part_draws=conditional_variance.part_draws,
    any_network=True,
)
