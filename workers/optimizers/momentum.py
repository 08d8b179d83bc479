"""Heavy-ball momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from widesweep.workers.optimizers.nesterov import Momentum as Beta
from widesweep.workers.optimizers.update_rule import RuleTraining, UpdateRule

if TYPE_CHECKING:
    from torch import Tensor


class Momentum(RuleTraining):
    """θ(k+1) = θ(k) + v(k+1), v(k+1) = βv(k) − η∇L(θ(k)), v(0) = 0.

    Source: Polyak 1964, some methods of speeding up the convergence of iteration methods.

    Attributes:
        momentum: β, the same at every step.

    >>> Momentum(steps=10, momentum=0.0).mode_factors(np.array([0.5]), 1.0, [0, 1, 2]).ravel()
    array([1.  , 0.5 , 0.25])
    """

    linear: ClassVar[bool] = True
    optimizer: Literal["momentum"] = "momentum"
    momentum: Beta = 0.9

    @property
    def rule(self) -> UpdateRule:
        """One array: the velocity."""
        return _HeavyBall(self.momentum)

    def mode_factors(self, eigenvalues: np.ndarray, learning_rate: float, steps: Any) -> np.ndarray:
        """p_{k+1} = (1 + β − ηλ)p_k − βp_{k−1}, p_0 = p_{−1} = 1, by powers of its 2 × 2 matrix."""
        size = np.size(eigenvalues)
        companion = np.zeros((size, 2, 2))
        companion[:, 0, 0] = 1.0 + self.momentum - learning_rate * np.asarray(eigenvalues)
        companion[:, 0, 1], companion[:, 1, 0] = -self.momentum, 1.0
        powers = [np.linalg.matrix_power(companion, int(k)) for k in np.ravel(steps)]
        return np.stack([power[:, 0, :].sum(1) for power in powers])

    def rate_per_step(self, eigenvalues: np.ndarray, learning_rate: float) -> float:
        """−log of the largest root of z² − (1 + β − ηλ)z + β over the eigenvalues."""
        half = (1.0 + self.momentum - learning_rate * np.asarray(eigenvalues)) / 2.0
        root = np.sqrt((half**2 - self.momentum).astype(np.complex128))
        return float(-np.log(np.maximum(np.abs(half + root), np.abs(half - root)).max()))


@dataclass(frozen=True)
class _HeavyBall:
    beta: float
    arrays: int = 1

    def update(
        self, parameter: Tensor, gradient: Tensor, state: Sequence[Tensor], learning_rate: Tensor, step: int
    ) -> None:
        velocity = state[0].mul_(self.beta).sub_(gradient.mul_(learning_rate))
        parameter.add_(velocity)
