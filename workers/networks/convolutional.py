"""Convolutional networks over images, plain or residual."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from widesweep.theory.convolution import architecture
from widesweep.theory.convolution.architecture import Architecture, Shares
from widesweep.theory.convolution.convolutional_kernels import kernels_of
from widesweep.theory.infinite_width.criticality import preserving_weight_variance
from widesweep.theory.infinite_width.du import activation_scale
from widesweep.theory.infinite_width.kernels import Kernels
from widesweep.workers.networks.custom_activation import ACTIVATIONS
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import FirstName, Network, PositiveFloat

Side = Annotated[int, Field(ge=1, le=4096, strict=True)]
FilterSize = Annotated[int, Field(ge=1, le=99, multiple_of=1, strict=True)]
ALL, NOTHING = (1.0, 1.0), (0.0, 0.0)


class Convolutional(Network):
    """`depth` convolutional layers of `width` channels and a dense read-out, over images of P pixels.

    Plain, with entries N(0, 1) under `ntk` and `mup` and the factors inside their variance under `standard`:
    z^(1)(p) = (√(C_W P)/q) Σ_o W_o x(p + o) + √C_b b, z^(h+1)(p) = (√(C_W/m)/q) Σ_o W_o σ(z^(h)(p + o)) +
    √C_b b, o over the offsets of a q × q filter. The read-out has √(C_W/(mP)) over all pixels (`flatten`), or
    √(C_W/m) over their mean (`pool`); under `mup` it has a further 1/√m. Images have unit norm, so that a
    pixel's mean square is 1/P: the first layer's √P makes it 1.

    With `skip` it is Du et al.'s residual network, x^(1) = √(c_σ/m) σ(W x), x^(h)(p) = x^(h−1)(p) +
    c_res/(H√m) σ(Σ_o W_o x^(h−1)(p + o)), f = Σ_p a(p)·x^(H)(p), all entries N(0, 1), no biases.

    Attributes:
        parameterization: where the factors of the width stand, as for `fully_connected`; with `skip` it is
            `ntk`, or `mup`, whose read-out has a further 1/√m.
        weight_variance: C_W; default as for `fully_connected`. None with `skip`.
        bias_variance: C_b.
        kernel: q, the side of a filter, odd.
        padding: what lies beyond an edge: `zero`, or `circular`, the opposite edge.
        readout: `flatten`, or `pool`, global average pooling.
        skip: whether the network is residual.
        residual_scale: c_res, with `skip`.
        image: height, width and channels of a point; default: as the data has them (digits are 8 × 8).

    Source: Arora et al. 2019, arXiv:1904.11955, section 4; Du et al. 2018, arXiv:1811.03804, for `skip`.

    >>> [layer.fan_in for layer in Convolutional(image=(8, 8, 1)).layers(width=16, depth=2, inputs=64)]
    [9, 144, 1024]
    """

    samples_output: ClassVar[bool] = False
    takes_images: ClassVar[bool] = True

    kind: Literal["convolutional"] = "convolutional"
    parameterization: Annotated[Literal["ntk", "standard", "mup"], FirstName] = "ntk"
    weight_variance: PositiveFloat | None = None
    bias_variance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    kernel: FilterSize = 3
    padding: Literal["zero", "circular"] = "zero"
    readout: Literal["flatten", "pool"] = "flatten"
    skip: bool = False
    residual_scale: PositiveFloat | None = None
    image: tuple[Side, Side, Side] | tuple[Side, Side] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel}: the side of a filter is odd, so that it has a centre")
        if self.skip and (self.weight_variance is not None or self.bias_variance):
            raise ValueError(
                "skip fixes its scales as Du et al. do; leave weight_variance and bias_variance out"
            )
        if self.skip and self.parameterization == "standard":
            raise ValueError("skip under parameterization standard is not defined; ntk or mup is wanted")
        if not self.skip and self.residual_scale is not None:
            raise ValueError("residual_scale without skip; set skip: true or leave it out")
        own = isinstance(self.activation, str) and self.activation not in ACTIVATIONS.built_in
        if not own:  # a plug-in is imported later, when a sweep is run
            object.__setattr__(self, "weight_variance", self._variance())
        if self.skip and self.residual_scale is None:
            object.__setattr__(self, "residual_scale", 1.0)
        if self.image is not None and len(self.image) == 2:
            object.__setattr__(self, "image", (*self.image, 1))
        return self

    def _variance(self) -> float | None:
        if self.skip or self.weight_variance is not None:
            return self.weight_variance
        return preserving_weight_variance(self.activation_object(), self.bias_variance)

    def resolved(self) -> Self:
        """With its C_W as a number."""
        return self.model_copy(update={"weight_variance": self._variance()})

    def on_images(self, shape: tuple[int, ...]) -> Self:
        """The same network over images of a shape, unless it names one itself.

        Args:
            shape: (height, width) or (height, width, channels).
        """
        return self if self.image is not None else self.model_copy(update={"image": (*shape, 1)[:3]})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image.

        Raises:
            ValueError: no image is known.
        """
        if self.image is None or len(self.image) != 3:
            raise ValueError("a convolutional network needs the shape of its images (network.image)")
        return self.image

    @property
    def pixels(self) -> int:
        """P."""
        return self.shape[0] * self.shape[1]

    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """The convolutional layers, whose fan-in is a patch, and the read-out."""
        return self._residual(width, depth, outputs) if self.skip else self._plain(width, depth, outputs)

    def _sizes(self, width: int, depth: int, outputs: int) -> list[tuple[int, int, int]]:
        """Fan-in, fan-out and pixels of each layer."""
        patch, last = self.kernel**2, width * (self.pixels if self.readout == "flatten" else 1)
        hidden = [(patch * width, width, self.pixels)] * (depth - 1)
        return [(patch * self.shape[2], width, self.pixels), *hidden, (last, outputs, 1)]

    def _trains(self, h: int, depth: int) -> bool:
        return self.trains == "all" or (self.trains == "last") == (h == depth)

    def _plain(self, width: int, depth: int, outputs: int) -> tuple[Layer, ...]:
        sizes, scales = self._sizes(width, depth, outputs), self._scales(width, depth)
        bias, inside = math.sqrt(self.bias_variance), self.parameterization == "standard"
        shrunk = [1.0] * depth + [1.0 / math.sqrt(width) if self.parameterization == "mup" else 1.0]
        return tuple(
            Layer(
                fan_in=fan_in,
                fan_out=fan_out,
                weight_std=scales[h] if inside else 1.0,
                weight_scale=1.0 if inside else scales[h] * shrunk[h],
                bias_std=bias if inside else float(bias > 0),
                bias_scale=float(bias > 0) if inside else bias * shrunk[h],
                trains=self._trains(h, depth),
                pixels=pixels,
            )
            for h, (fan_in, fan_out, pixels) in enumerate(sizes)
        )

    def _scales(self, width: int, depth: int) -> list[float]:
        """√(C_W P)/q, √(C_W/m)/q, …, and the read-out's, under `ntk`."""
        variance, q = self._variance(), self.kernel
        if variance is None:
            raise ValueError("weight_variance is not known yet")
        last = variance / (width * (self.pixels if self.readout == "flatten" else 1))
        hidden = [math.sqrt(variance / width) / q] * (depth - 1)
        return [math.sqrt(variance * self.pixels) / q, *hidden, math.sqrt(last)]

    def _residual(self, width: int, depth: int, outputs: int) -> tuple[Layer, ...]:
        scale = self.residual_scale or 1.0
        first = math.sqrt(activation_scale(self.activation_object()) / width)
        branches = [first] + [scale / (depth * math.sqrt(width))] * (depth - 1) + [1.0]
        last = 1.0 / math.sqrt(width) if self.parameterization == "mup" else 1.0
        return tuple(
            Layer(
                fan_in=fan_in,
                fan_out=fan_out,
                weight_scale=last if h == depth else 1.0,
                branch_scale=branches[h],
                skip=0 < h < depth,
                trains=self._trains(h, depth),
                pixels=pixels,
            )
            for h, (fan_in, fan_out, pixels) in enumerate(self._sizes(width, depth, outputs))
        )

    def first_fan_in(self, inputs: int) -> int:
        """The entries of a patch."""
        return self.kernel**2 * self.shape[2]

    def kernel_input(self, x: np.ndarray) -> np.ndarray:
        """Images (n, height, width, channels) as the recursion takes them: of norm √P, with `skip` 1."""
        images = x.reshape(len(x), *self.shape)
        return images if self.skip else images * math.sqrt(self.pixels)

    def architecture(self, depth: int) -> Architecture:
        """What theory knows of the network; a pooled output is that of the mean over pixels."""
        options: dict[str, Any] = {
            "filter_size": self.kernel,
            "padding": self.padding,
            "readout": self.readout,
        }
        if self.skip:
            scale = self.residual_scale or 1.0
            return architecture.residual(self.activation_object(), depth, residual_scale=scale, **options)
        variance = self._variance()
        assert variance is not None
        return architecture.plain(
            self.activation_object(),
            depth,
            self.pixels,
            weight_variance=variance,
            bias_variance=self.bias_variance,
            **options,
        )

    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """Infinite-width kernels per unit of `kernel_scale`, by layer, of what `kernel_input` gives."""
        whole = self._shares(depth, "all")
        parts = [tuple(each if h == k else NOTHING for k, each in enumerate(whole)) for h in range(depth + 1)]
        nngp, ntk, error = kernels_of(self.architecture(depth), gram, parts)
        return Kernels(nngp, ntk, np.stack([nngp]), error)

    def tangent_kernel(self, gram: np.ndarray, depth: int) -> np.ndarray:
        """Infinite-width tangent kernel of αf over what trains; the layers together, without their parts."""
        return self.limit(gram, depth)[0]

    def output_covariance(self, gram: np.ndarray, depth: int) -> np.ndarray:
        """Covariance of αf over initialisations as width grows; 0 under `mup` and for a centred network."""
        return self.limit(gram, depth)[1]

    def limit(self, gram: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Both, by one recursion."""
        shares, cores = [self._shares(depth, self.trains)], os.cpu_count() or 1
        nngp, ntk, _ = kernels_of(self.architecture(depth), gram, shares, threads=cores)
        starts_at_0 = self.centered or self.parameterization == "mup"
        return self.alpha**2 * ntk[0], np.zeros_like(nngp) if starts_at_0 else self.alpha**2 * nngp

    def _shares(self, depth: int, trains: str) -> Shares:
        """What each layer adds per unit of `kernel_scale`.

        Under `standard` layers of fan-in ∝ m grow like m and drown the others; a weight's derivative lacks
        the factor of the forward pass, whose square is s²: the part is that of `ntk` over m s².
        """
        moves = [trains == "all" or (trains == "last") == (h == depth) for h in range(depth + 1)]
        if self.parameterization != "standard":
            return tuple(ALL if each else NOTHING for each in moves)
        scales = self._scales(1, depth)
        if self._first_layer_alone(depth, trains):
            bias = 1.0 / self.bias_variance if self.bias_variance else 0.0
            return ((1.0 / scales[0] ** 2, bias), NOTHING)
        return (NOTHING, *((float(moves[h]) / scales[h] ** 2, 0.0) for h in range(1, depth + 1)))

    def _first_layer_alone(self, depth: int, trains: str) -> bool:
        return trains == "hidden" and depth == 1

    def kernel_scale(self, width: int, depth: int) -> float:
        """1; 1/m under `mup`; m under `standard`, or 1 where its first layer trains alone."""
        if self.parameterization == "mup":
            return 1.0 / width
        if self.parameterization == "standard" and not self._first_layer_alone(depth, self.trains):
            return float(width)
        return 1.0

    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """NaN: no prediction is known here."""
        return np.full(len(orders), np.nan), "none"
