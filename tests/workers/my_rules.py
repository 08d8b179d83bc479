"""Update rules as a researcher writes them."""

from __future__ import annotations

from typing import Any


class Plain:
    """Gradient descent."""

    arrays = 0

    def update(self, parameter: Any, gradient: Any, state: Any, learning_rate: Any, step: int) -> None:
        parameter -= learning_rate * gradient


class Lion:
    """The sign of an interpolated momentum (Chen et al. 2023, arXiv:2302.06675)."""

    arrays = 1

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.99) -> None:
        self.beta_1, self.beta_2 = beta_1, beta_2

    def update(self, parameter: Any, gradient: Any, state: Any, learning_rate: Any, step: int) -> None:
        (mean,) = state
        parameter -= learning_rate * (self.beta_1 * mean + (1 - self.beta_1) * gradient).sign()
        mean.mul_(self.beta_2).add_((1 - self.beta_2) * gradient)


class NoUpdate:
    """Not a rule."""

    arrays = 0


class FewArguments:
    """Not one either."""

    arrays = 0

    def update(self, parameter: Any, gradient: Any) -> None:
        """Nothing."""
