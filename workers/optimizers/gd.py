"""Full-batch gradient descent."""

from __future__ import annotations

from typing import Literal

from workers.optimizers.base import Training


class GradientDescent(Training):
    """θ(k+1) = θ(k) − η ∇½Σ_i (αf(x_i) − y_i)²: the whole sum at every step, never averaged.

    >>> GradientDescent(steps=1000, records=5).recorded_steps()
    (0, 1, 10, 100, 1000)
    """

    optimizer: Literal["gd"] = "gd"
