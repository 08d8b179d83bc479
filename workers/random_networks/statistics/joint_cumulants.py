"""Fourth joint cumulants of outputs on two training points, by the covariance S given the hidden layers.

Given the hidden layers each output is N(0, S) on the points, independently of the others. So
κ(z_i, z_i, z_j, z_j) = Cov(S_ii, S_jj) + 2 Var(S_ij) within one output, and Cov(S_ii, S_jj) across two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from widesweep.workers.random_networks import conditional_covariance
from widesweep.workers.random_networks.measurement import (
    PLACE,
    Case,
    Measurement,
    Prediction,
    mean_of_chunks,
    with_errors,
)
from widesweep.workers.variable import Variable

if TYPE_CHECKING:
    from widesweep.workers.random_networks.measurement import Settings

_DIMS = (*PLACE, "point", "point_other")


def statistics(settings: Settings) -> int:
    """Means of S_ij, S_ii S_jj and S_ij², each k × k."""
    return 3 * len(settings.points) ** 2


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of X_ij, X_ii X_jj and X_ij², X = S/√(K_ii K_jj) less its infinite-width value."""
    gram, limit = _grams(case)
    scale = np.sqrt(np.outer(np.diag(limit), np.diag(limit)))

    def sample(count: int) -> np.ndarray:
        s = conditional_covariance.sample_points(
            case.fully_connected, case.width, case.depth, gram, count, random
        )
        x = (s - limit) / scale
        diagonal = np.einsum("bii->bi", x)
        products = diagonal[:, :, None] * diagonal[:, None, :]
        return np.concatenate([each.reshape(count, -1) for each in (x, products, x * x)], axis=1).T

    return mean_of_chunks(sample, draws, case.width * len(gram))


def _grams(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """xxᵀ of the points and the outputs' covariance in the limit, each (k, k)."""
    assert case.x is not None
    x = case.x[list(case.settings.points)]
    gram = x @ x.T
    return gram, case.network.kernels(gram, case.depth).nngp


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """κ(z_i, z_i, z_j, z_j) within one output, then across two, over E[S_ii] E[S_jj]; flat."""
    k = len(case.settings.points)

    def ratio(pooled: np.ndarray) -> np.ndarray:
        parts = pooled.reshape(*pooled.shape[:-1], 3, k, k)
        first, products, squares = (parts[..., i, :, :] for i in range(3))
        diagonal = np.einsum("...ii->...i", first)
        across = products - diagonal[..., :, None] * diagonal[..., None, :]
        within = across + 2.0 * (squares - first**2)
        norm = (1.0 + diagonal[..., :, None]) * (1.0 + diagonal[..., None, :])
        both = np.stack([within / norm, across / norm], axis=-3)
        return np.asarray(both.reshape(*pooled.shape[:-1], 2 * k * k))

    return ratio


def predict(case: Case) -> dict[str, Prediction]:
    """The diagonal is κ4 of one output, and Cov(z_1², z_2²) of two; NaN elsewhere."""
    fourth, kind = case.network.predicted_cumulants(case.width, case.depth, (4,))
    k = len(case.settings.points)
    within, across = np.full((k, k), np.nan), np.full((k, k), np.nan)
    np.fill_diagonal(within, fourth[0])
    np.fill_diagonal(across, fourth[0] / 3.0)
    return {"joint_cumulant_predicted": (within, kind), "joint_cumulant_outputs_predicted": (across, kind)}


_WITHIN = "κ(z_i, z_i, z_j, z_j) / (K_ii K_jj) of one output on points i and j"
_ACROSS = "κ(z_1i, z_1i, z_2j, z_2j) / (K_ii K_jj) of two outputs, on points i and j"
MEASUREMENT = Measurement(
    variables=with_errors({"joint_cumulant": _WITHIN, "joint_cumulant_outputs": _ACROSS}, _DIMS),
    predicted=(
        Variable("joint_cumulant_predicted", _DIMS, f"{_WITHIN}, predicted for i = j"),
        Variable(
            "joint_cumulant_outputs_predicted",
            _DIMS,
            f"{_ACROSS}, predicted for i = j",
            label="joint cumulant, 2 outputs",
        ),
    ),
    statistics=statistics,
    means=means,
    summary=summary,
    shape=lambda settings: (len(settings.points),) * 2,
    predict=predict,
    draw_s=lambda case: case.depth * case.width * len(case.settings.points) * (case.neuron_s + 5e-9),
    needs_points=True,
)
