"""What every network's config has: activation, what trains, output scale, and its cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic.functional_validators import AfterValidator, BeforeValidator

from widesweep.theory import activations
from widesweep.theory.activations import Activation
from widesweep.theory.finite_width import cumulants, moments
from widesweep.theory.infinite_width.kernels import Kernels
from widesweep.workers.choices import ascending
from widesweep.workers.networks.custom_activation import ACTIVATIONS
from widesweep.workers.networks.layers import Layer

FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scales = Annotated[tuple[PositiveFloat, ...], Field(min_length=1), AfterValidator(ascending)]


FirstName = BeforeValidator(lambda name: "mup" if name == "mean_field" else name)  # one thing, two names


class Leaky(BaseModel):
    """σ(t) = a₋t for t < 0 and a₊t for t ≥ 0, written `{leaky: [a_minus, a_plus]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    leaky: tuple[FiniteFloat, FiniteFloat]

    @field_validator("leaky")
    @classmethod
    def _moves(cls, slopes: tuple[float, float]) -> tuple[float, float]:
        if slopes == (0.0, 0.0):
            raise ValueError("both slopes are 0; one of them at least is another number")
        return slopes


OWN = "own"  # key of the validation context of a config that its user wrote: names must be known


def _known(name: str, info: ValidationInfo) -> str:
    """Refuses an unknown name in a user's own config; a store's may be of a plug-in that is not here."""
    if (info.context or {}).get(OWN):
        if "leaky" in name.lower() and ":" not in name:
            raise ValueError(f"'{name}' has slopes; write {{leaky: [0.01, 1.0]}}, those below and above 0")
        ACTIVATIONS.check(name)
    return name


ActivationName = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": [*ACTIVATIONS.built_in, "package.module:name"]}),
]
ActivationConfig = ActivationName | Leaky


class Network(BaseModel, ABC):
    """Config of a network and the facts that follow from it; imports no torch.

    Attributes:
        activation: σ of the hidden layers; `{leaky: [a, b]}` has slope a below 0 and b above;
            `package.module:name` is one's own.
        trains: `all` weights and biases, those of the `hidden` layers, or those of the `last` layer.
        output_scale: α, which multiplies the network; a list makes it an axis of the grid.
        centered: whether the network at its initialisation is subtracted, so that outputs start at 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples_output: ClassVar[bool] = True  # whether `random_networks` can draw its output without weights
    has_limit: ClassVar[bool] = True  # whether theory knows its kernels as width grows
    takes_images: ClassVar[bool] = False  # whether a point is an image, of which a layer sees patches

    activation: ActivationConfig = "relu"
    trains: Literal["all", "hidden", "last"] = "all"
    output_scale: PositiveFloat | Scales = Field(
        default=1.0,
        json_schema_extra={
            "noun": "an output scale",
            "wanted": "it is a finite number above 0, or a list of different ones",
        },
    )
    centered: bool = False

    @property
    def output_scales(self) -> tuple[float, ...] | None:
        """The values of the axis `output_scale`; None where the grid has no such axis."""
        return self.output_scale if isinstance(self.output_scale, tuple) else None

    @property
    def alpha(self) -> float:
        """α, which multiplies the network.

        Raises:
            TypeError: there are several; take `at_scale` first.
        """
        if isinstance(self.output_scale, tuple):
            raise TypeError(f"a network of {len(self.output_scale)} output scales has no α of its own")
        return self.output_scale

    def at_scale(self, alpha: float | tuple[float, ...]) -> Self:
        """The same network with another α, or along another axis of them.

        Args:
            alpha: α > 0, or different ones.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**fields | {"output_scale": alpha})

    def activation_object(self) -> Activation:
        """The activation as `theory` knows it; a plug-in is imported here.

        Raises:
            PlugInError: the plug-in cannot be imported, or is no activation.
        """
        if isinstance(self.activation, Leaky):
            return activations.leaky(*self.activation.leaky)
        return ACTIVATIONS.get(self.activation)

    def resolved(self) -> Self:
        """The same with defaults filled in that need its activation, which may be a plug-in's.

        Raises:
            ValueError: a default is not defined for this activation.
        """
        return self

    def first_fan_in(self, inputs: int) -> int:
        """Inputs of a neuron of the first layer, of a point's d."""
        return inputs

    def kernel_input(self, x: np.ndarray) -> np.ndarray:
        """What `kernels` takes of points of unit norm, shape (n, d): their Gram matrix XXᵀ."""
        return np.asarray(x @ x.T)

    @abstractmethod
    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """The network's layers, first to output, whose fan-out is the number of outputs K."""

    @abstractmethod
    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """Infinite-width kernels of one output of f (before the output scale), per unit of `kernel_scale`.

        Of K outputs the kernels are these ⊗ I_K: no two outputs covary as width grows, whatever they share.
        """

    @abstractmethod
    def kernel_scale(self, width: int, depth: int) -> float:
        """c(m) such that the tangent kernel at width m is about c(m) times the limit of `kernels`."""

    @abstractmethod
    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """Normalised cumulants of one output at initialisation, and "exact" or "leading order"."""

    def tangent_kernel(self, gram: np.ndarray, depth: int) -> np.ndarray:
        """Infinite-width tangent kernel of αf over what trains, per unit of `kernel_scale`; shape (n, n)."""
        return np.asarray(self.alpha**2 * self.kernels(gram, depth).ntk(self.trains))

    def output_covariance(self, gram: np.ndarray, depth: int) -> np.ndarray:
        """Covariance of αf over initialisations as width grows, shape (n, n); 0 for a centred network."""
        if self.centered:
            return np.zeros_like(gram)
        return np.asarray(self.alpha**2 * self.kernels(gram, depth).nngp)

    def limit(self, gram: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """`tangent_kernel` and `output_covariance` together."""
        return self.tangent_kernel(gram, depth), self.output_covariance(gram, depth)

    @property
    def sampled_as(self) -> Network:
        """What random draws at initialisation are made of: the network itself, or one like it."""
        return self

    def allowed_depths(self) -> tuple[int, ...] | None:
        """Depths that this network can have; None: any from 1."""
        return None

    def parameters(self, width: int, depth: int, inputs: int, outputs: int = 1) -> int:
        """Number of parameters."""
        return sum(layer.parameters for layer in self.layers(width, depth, inputs, outputs))

    def step_flops(self, width: int, depth: int, samples: int, inputs: int, outputs: int = 1) -> float:
        """Floating-point operations of one step of one cell: 2n per weight for each of the three products.

        Forward for every layer, cotangent for every layer but the first, update for those that train; K
        outputs share one cotangent for each sample.
        """
        flops = 0.0
        for index, layer in enumerate(self.layers(width, depth, inputs, outputs)):
            products = 1 + (index > 0) + layer.trains
            flops += 2.0 * samples * layer.pixels * layer.fan_in * layer.fan_out * products
        return flops

    def memory_bytes(
        self, width: int, depth: int, samples: int, inputs: int, itemsize: int, outputs: int = 1
    ) -> int:
        """Peak memory of training: weights, their start, one difference, three arrays per activation.

        A convolutional layer has patches of its inputs besides, and as many cotangents of them.
        """
        layers = self.layers(width, depth, inputs, outputs)
        weights = 3 * sum(layer.parameters for layer in layers)
        arrays = samples * sum(3 * layer.pixels * layer.fan_out for layer in layers)
        shared = [layer for layer in layers if layer.pixels > 1]  # whose inputs are patches, made and folded
        arrays += samples * sum(2 * layer.pixels * (layer.fan_in + layer.fan_out) for layer in shared)
        lanczos = 64 * width * (depth > 1)
        return itemsize * (weights + arrays + lanczos)


def cumulants_of_gaussian_output(
    activation: Activation,
    width: int,
    depth: int,
    orders: Sequence[int],
    *,
    weight_variance: float,
    bias_variance: float,
    first_weight_variance: float,
) -> tuple[np.ndarray, str]:
    """κ_{2k}/K^k where the output layer is Gaussian: exact without biases for scale-invariant activations."""
    if activation.slopes is not None and bias_variance == 0.0:
        return moments.exact_cumulants([width] * depth, activation, list(orders)), "exact"
    leading = cumulants.leading_cumulants(
        width,
        depth,
        activation,
        list(orders),
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        first_weight_variance=first_weight_variance,
    )
    return leading, "leading order"
