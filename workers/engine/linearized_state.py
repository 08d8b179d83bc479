"""The model linearised at its start, trained beside the true one: through the spectrum of G(0), no loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState
from widesweep.workers.engine.norms import rows_times


@dataclass(frozen=True)
class LinearizedState:
    """The linearised model at one step.

    Attributes:
        residual: V p_k(Λ) Vᵀ r(0) on the training points, shape (B, n·K).
        pull: c with θ_lin(k) − θ(0) = −J(0)ᵀ c, namely V (1 − p_k(Λ))/Λ Vᵀ r(0), shape (B, n·K).
    """

    residual: Tensor
    pull: Tensor


def linearized_state(start: InitialState, ensemble: Ensemble, step: int) -> LinearizedState:
    """u_lin − y = V p_k(Λ) Vᵀ r(0) with the optimiser's own p_k, (1 − ηλ)^k for gradient descent.

    For `sgd` and `langevin` it is the mean over batches and noise. Modes whose eigenvalue is no more than
    rounding do not pull.

    Args:
        start: where the cells began.
        ensemble: the batch.
        step: k.

    Source: Lee et al. 2019, arXiv:1902.06720, section 2.2.
    """
    values, vectors = start.spectrum
    of_cell = ensemble.start
    factors = _factors(start, ensemble, step).to(values)
    vectors, values = vectors[of_cell], values[of_cell]
    along = rows_times(start.residual[of_cell], vectors)
    rounding = values.shape[1] * torch.finfo(values.dtype).eps * values[:, -1:]
    pull = torch.where(values > rounding, (1.0 - factors) / values, 0.0)
    back = vectors.transpose(1, 2)
    return LinearizedState(rows_times(factors * along, back), rows_times(pull * along, back))


def _factors(start: InitialState, ensemble: Ensemble, step: int) -> Tensor:
    """p_k(λ_i) of every cell, shape (B, n·K)."""
    values = start.spectrum[0].to("cpu", torch.float64).numpy()
    rates = ensemble.learning_rates.flatten().to("cpu", torch.float64).tolist()
    cells = zip(ensemble.start.tolist(), rates, strict=True)
    rows = [start.training.mode_factors(values[s], eta, [step])[0] for s, eta in cells]
    return torch.from_numpy(np.stack(rows))
