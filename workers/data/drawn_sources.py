"""Sources that are drawn and bring their own labels: a teacher network, a power law, a polynomial."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from widesweep.theory.generalisation.gegenbauer import sphere_polynomial
from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import ActivationConfig
from widesweep.workers.seeds import generator

Size = Annotated[int, Field(ge=1, le=512, strict=True)]  # larger take minutes to draw
Exponent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
REFERENCE = 4096  # points that a teacher's scale is measured on, which are no one's training points


class Teacher(BaseModel):
    """Points uniform on the sphere, labelled by a fixed random fully connected network.

    Its labels have a mean square of 1 over 4,096 points of its own, whichever points are trained on.

    Attributes:
        width: neurons in each of its hidden layers.
        depth: its hidden layers.
        activation: a built-in one, as a network's.
        seed: of its weights; `data.seed` draws the points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["teacher"] = "teacher"
    width: Size = 8
    depth: Annotated[int, Field(ge=1, le=10, strict=True)] = 1
    activation: ActivationConfig = "relu"
    seed: Annotated[int, Field(ge=0, strict=True)] = 0

    @field_validator("activation")
    @classmethod
    def _built_in(cls, activation: ActivationConfig) -> ActivationConfig:
        if isinstance(activation, str) and ":" in activation:
            raise ValueError(f"found '{activation}'; a teacher takes a built-in activation")
        try:
            FullyConnected(activation=activation).resolved()
        except ValueError:
            raise ValueError(f"found {activation}; slopes whose squares stay in float64") from None
        return activation

    def draw(self, random: np.random.Generator, rows: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and labels, shapes (rows, inputs) and (rows,)."""
        reference = _sphere(generator("teacher reference", self.seed), REFERENCE, inputs)
        x = _sphere(random, rows, inputs)
        with np.errstate(all="ignore"):  # a teacher that is 0 everywhere, or overflows, gives no numbers
            return x, self._outputs(x) / np.sqrt(np.mean(self._outputs(reference) ** 2))

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        network = FullyConnected(activation=self.activation).resolved()
        value = network.activation_object().value
        for h, layer in enumerate(network.layers(self.width, self.depth, x.shape[1])):
            # not `@`, whose rounding depends on how many rows there are
            x = np.einsum("ij,jk->ik", value(x) if h else x, self._weights(h, layer))
        return np.asarray(x[:, 0])

    def _weights(self, h: int, layer: Layer) -> np.ndarray:
        drawn = generator("teacher weights", self.seed, h).standard_normal((layer.fan_in, layer.fan_out))
        return np.asarray(layer.weight_scale * layer.weight_std * drawn)


class PowerLaw(BaseModel):
    """Gaussian points g of covariance diag(λ), λ_i ∝ i^−exponent, tr = 1, with a linear target of that basis.

    The label is Σ v_i g_i/√λ_i, v_i² ∝ i^−target_exponent, Σ v_i² = 1. Both are then divided by ‖g‖, so that
    inputs have unit norm and the label is linear in them; the more inputs share the variance, the less that
    changes.

    Attributes:
        exponent: of the covariance's eigenvalues.
        target_exponent: of the target's power along them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["power_law"] = "power_law"
    exponent: Exponent
    target_exponent: Exponent = 1.0

    def features(self, random: np.random.Generator, rows: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        """g and its labels before both are divided by ‖g‖, shapes (rows, inputs) and (rows,)."""
        white = random.standard_normal((rows, inputs))
        place = np.arange(1, inputs + 1, dtype=np.float64)
        variance, power = place**-self.exponent, place**-self.target_exponent
        labels = np.einsum("ij,j->i", white, np.sqrt(power / power.sum()))
        return white * np.sqrt(variance / variance.sum()), labels

    def draw(self, random: np.random.Generator, rows: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and labels, shapes (rows, inputs) and (rows,)."""
        g, y = self.features(random, rows, inputs)
        norm = np.linalg.norm(g, axis=1)
        return g / norm[:, None], y / norm


class SpherePolynomial(BaseModel):
    """Points x uniform on the sphere, labelled by Q_k(x_1), the normalised Gegenbauer polynomial.

    Its mean square over the sphere is 1, and it is an eigenfunction of every kernel of xᵀx'.

    Attributes:
        degree: k.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sphere_polynomial"] = "sphere_polynomial"
    degree: Annotated[int, Field(ge=0, le=100, strict=True)]

    def draw(self, random: np.random.Generator, rows: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and labels, shapes (rows, inputs) and (rows,)."""
        x = _sphere(random, rows, inputs)
        return x, sphere_polynomial(self.degree, inputs, x[:, 0])


DrawnSource = Annotated[Teacher | PowerLaw | SpherePolynomial, Field(discriminator="kind")]


def draw(
    source: Teacher | PowerLaw | SpherePolynomial, samples: int, test_samples: int, inputs: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Training points first, then test points, each from a stream of its own, with their labels.

    So the first n training points are the same however many there are, and test points are the same for
    every n.
    """
    train = source.draw(generator("drawn points", seed), samples, inputs)
    test = source.draw(generator("drawn test points", seed), test_samples, inputs)
    return np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])


def _sphere(random: np.random.Generator, rows: int, inputs: int) -> np.ndarray:
    x = random.standard_normal((rows, inputs))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))
