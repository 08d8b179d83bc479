"""A batch of networks as compiled loops and backward passes see it: what they read of an `Ensemble`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from widesweep.workers.engine.activations import TensorActivation
from widesweep.workers.engine.parameters import Parameters
from widesweep.workers.networks.layers import Layer


@dataclass(frozen=True)
class InputSpaceUpdate:
    """A first layer that is updated in the samples' space during a segment (`input_space_update`).

    Attributes:
        base: z₁ at the start of the segment, shape (B, n, m).
        gram: s²XXᵀ + t², shape (1, n, n).
        moved: Δ, shape (B, n, m).
    """

    base: Tensor
    gram: Tensor
    moved: Tensor

    def product(self, out: Tensor, multiply: Callable[..., None]) -> None:
        """z₁ = base − gram Δ, by a backend's products."""
        out.copy_(self.base)
        multiply(self.gram.expand(len(self.base), -1, -1), self.moved, out, -1.0, 1.0)


class CotangentRows(Protocol):
    """Rows of cotangents, D_h of each layer in `layers`, shape (B, rows, fan_out)."""

    layers: list[Tensor]


class Batch(Protocol):
    """The part of an `Ensemble` that passes read and write; its attributes are documented there."""

    is_dense: bool
    layers: tuple[Layer, ...]
    weights: list[Tensor]
    biases: list[Tensor | None]
    learning_rates: Tensor
    x: Tensor
    inputs: list[Tensor]
    pre_activations: list[Tensor]
    output_layer: Tensor
    output_count: int
    output_scale: float
    offset: Tensor | None
    activation: TensorActivation
    lowest_moving: int
    input_space_update: InputSpaceUpdate | None
    room_for_update: InputSpaceUpdate | None
    is_compiled: bool
    width_of_outputs: int
    multiplications: int
    tables: dict[tuple[Any, int], Any]

    def __len__(self) -> int:
        """Cells in the batch."""

    @property
    def input_gram(self) -> Tensor | None:
        """s₁²XXᵀ + t₁² of inputs that all cells share; None where each has its own."""

    @property
    def room_for_cotangents(self) -> CotangentRows:
        """Arrays for one row of cotangents at each sample."""

    @property
    def unit_cotangents(self) -> CotangentRows:
        """D_h of each single output, n·K rows."""

    @property
    def trained(self) -> Parameters:
        """The weights and biases that train, themselves."""

    def multiply(self, a: Tensor, b: Tensor, out: Tensor, alpha: float = 1.0, beta: float = 0.0) -> None:
        """out ← α a b + β out, for each matrix of the batch, by its backend."""

    def product(self, h: int, z: Tensor) -> None:
        """z = s_h A_{h−1} W_h + t_h b_h."""

    def subtract_from_layer(self, h: int, scaled: Tensor, target: Parameters) -> None:
        """T_h ← T_h − s_h A_{h−1}ᵀ δ, and t_h Σ_i δ_i from its bias."""


def lowest_trained(layers: Sequence[Layer]) -> int:
    """The place of the lowest layer that trains.

    >>> lowest_trained((Layer(2, 3, trains=False), Layer(3, 1)))
    1
    """
    return next(h for h, layer in enumerate(layers) if layer.trains)
