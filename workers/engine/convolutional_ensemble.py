"""Many convolutional networks of one shape as one batch: a convolution is a product of patches with filters.

Rows of a layer's product are the pixels of all samples, so that forward pass, gradient and update are those
of an `Ensemble` with P·n rows; what differs is how one layer's features become the next one's rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.backend import BackendName
from widesweep.workers.engine.convolutional_cotangents import ConvolutionalCotangents
from widesweep.workers.engine.cotangents import Cotangents
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.image_patches import ImagePatches
from widesweep.workers.networks.convolutional import Convolutional
from widesweep.workers.networks.layers import Layer

GRADIENT_BYTES = 64 * 2**20  # of single samples' gradients of one cell that are held at once


class ConvolutionalEnsemble(Ensemble):
    """B convolutional networks; attributes as of an `Ensemble`, but for rows.

    Attributes:
        weights: filters (B, q²·c, m), offset by offset; the read-out (B, m·P or m, K), channel by channel.
        inputs: patches of each layer, shape (B, P·n, q²·c), pixel by pixel; the read-out's (B, n, m·P or m).
        pre_activations: z_h, shape (B, P·n, m).
        features: what a layer hands on, shape (B, P·n, m); its pre-activations where these suffice.
        patches: how pixels become rows.
        pools: whether the read-out reads the mean over pixels.
    """

    is_dense = False
    keeps_step_arrays = False
    cotangents_type: type[Cotangents] = ConvolutionalCotangents

    def __init__(
        self,
        network: Convolutional,
        layers: Sequence[Layer],
        starts: Sequence[tuple[list[Tensor], list[Tensor | None]]],
        start: Sequence[int] | np.ndarray,
        learning_rates: np.ndarray,
        x: Tensor,
        backend: BackendName = "compiled",
    ) -> None:
        """Copies the starts into a batch; arguments as of an `Ensemble`."""
        height, width, self.channels = network.shape
        self.patches = ImagePatches(height, width, network.kernel, network.padding)
        self.pools = network.readout == "pool"
        super().__init__(network, layers, starts, start, learning_rates, x, backend)

    def _allocate(self) -> None:
        cells, samples = len(self), self.x.shape[1]
        *hidden, output = self.layers

        def make(count: int, columns: int, layer: Layer) -> Tensor:
            return memory_layout.empty(self.x, count, columns, layer.pixels * samples).mT

        self.pre_activations = [make(cells, layer.fan_out, layer) for layer in hidden]
        own = self.activation.keeps_input or any(layer.branches for layer in hidden)
        self.features = (
            [make(cells, layer.fan_out, layer) for layer in hidden] if own else self.pre_activations
        )
        first = make(len(self.x), hidden[0].fan_in, hidden[0]).zero_()
        rows = [make(cells, layer.fan_in, layer).zero_() for layer in hidden[1:]]
        self.inputs = [first.expand(cells, -1, -1), *rows, self._read_by_output(cells, samples)]
        self._first = first
        self._scaled = [
            (make(cells, layer.fan_out, layer) if layer is not output else self._output(cells, samples))
            if layer.trains
            else None
            for layer in self.layers
        ]
        self.output_layer = self._output(cells, samples)
        self.room_for_update = None
        self.width_of_outputs = samples * self.output_count
        rows_of_weights = sum(layer.pixels * layer.fan_in * layer.fan_out for layer in self.layers)
        self.multiplications = cells * samples * rows_of_weights
        self.tables = {}
        self._input_gram, self._units, self._weighted = None, None, None
        self._units_are_fresh = False

    def _output(self, cells: int, samples: int) -> Tensor:
        return memory_layout.by_feature(self.x, cells, samples, self.output_count)

    def _read_by_output(self, cells: int, samples: int) -> Tensor:
        """The read-out's rows: the last features as they lie, or room for their mean over pixels."""
        if self.pools:
            return memory_layout.empty(self.x, cells, self.layers[-1].fan_in, samples).mT
        return self.features[-1].mT.view(cells, -1, samples).mT

    def _forward(self) -> None:
        """One layer after another; those below the lowest that moves are as they were."""
        if self.lowest_moving == 0:
            cells, samples, _ = self.x.shape
            images = self.x.view(cells, samples, self.patches.height, self.patches.width, self.channels)
            self.patches.gather(images.permute(0, 4, 2, 3, 1), self._first)
        for h in range(self.lowest_moving, len(self.layers) - 1):
            self.product(h, self.pre_activations[h])
            self._activate(h)
        self.product(len(self.layers) - 1, self.output_layer)

    def _activate(self, h: int) -> None:
        """Features from z_h, and the next layer's rows from them."""
        layer, z, a = self.layers[h], self.pre_activations[h], self.features[h]
        if not layer.branches:
            self.activation.apply(z.mT, a.mT)
        else:
            branch = a if self.activation.keeps_input else z
            self.activation.apply(z.mT, branch.mT)
            torch.mul(branch, layer.branch_scale, out=a)
            if layer.skip:
                a.add_(self.features[h - 1])
        if h + 1 < len(self.layers) - 1:
            self.patches.gather(self.patches.images(a), self.inputs[h + 1])
        elif self.pools:
            by_pixel = a.mT.view(len(a), a.shape[2], self.patches.pixels, -1)
            torch.mean(by_pixel, 2, out=self.inputs[-1].mT)

    def backward(self, residual: Tensor) -> None:
        """Makes ready what `subtract_gradient` takes: one row of cotangents for each pixel of a sample.

        Args:
            residual: r = αf − y, or r times weights of its entries, shape (B, n·K).
        """
        self._gradient = self._carried(residual), residual.new_ones(())

    def step(self, residual: Tensor) -> None:
        """One step of gradient descent in place.

        Args:
            residual: as for `backward`.
        """
        self.descend_from(residual)

    def shared_kernel(self, h: int, other: Ensemble | None = None) -> Tensor:
        """G^(h) of a layer whose weights all pixels share, from the gradients of single samples.

        With A_i (P, q²c) the patches of sample i and D_ia (P, m) its cotangents, ∂(αf_ia)/∂W = s AᵢᵀD_ia.
        Sums go over groups of channels, of as many as `GRADIENT_BYTES` hold of one cell.

        Args:
            h: the layer's place, from 0.
            other: another view of the same networks; then columns are its points.

        Returns:
            Shape (B, n·K, n'·K), outputs sample-major.
        """
        second = other or self
        assert isinstance(second, ConvolutionalEnsemble)
        layer, rows, columns = self.layers[h], self.width_of_outputs, second.width_of_outputs
        kernel = memory_layout.empty(self.x, len(self), rows, columns)
        for b in range(len(self)):
            own, beta = kernel[b : b + 1], 0.0
            for left, right in self._pairs(second, h, b):
                self.multiply(left, right.mT, own, layer.weight_scale**2, beta)
                beta = 1.0
            if layer.bias_scale:
                left, right = self.over_pixels(h, b), second.over_pixels(h, b)
                self.multiply(left, right.mT, own, layer.bias_scale**2, 1.0)
        return kernel

    def _pairs(self, second: ConvolutionalEnsemble, h: int, b: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Gradients of the samples of either view, group by group of channels."""
        layer = self.layers[h]
        outputs = self.width_of_outputs + second.width_of_outputs
        bytes_each = outputs * layer.fan_in * self.x.element_size()
        group = max(1, GRADIENT_BYTES // bytes_each)
        for first in range(0, layer.fan_out, group):
            channels = slice(first, first + group)
            left = self.gradients(h, b, channels)
            yield left, left if second is self else second.gradients(h, b, channels)

    def gradients(self, h: int, b: int, channels: slice) -> Tensor:
        """∂(αf_ia)/∂W of one cell and some channels over the layer's scale, shape (1, n·K, q²c · channels).

        Args:
            h: the layer's place, from 0.
            b: the cell's.
            channels: some of the layer's.
        """
        pixels, samples, outputs = self.patches.pixels, self.x.shape[1], self.output_count
        rows = self.inputs[h][b].mT.reshape(-1, pixels, samples).permute(2, 1, 0).contiguous()
        carried = self.unit_cotangents.layers[h][b].mT[channels].reshape(-1, pixels, samples, outputs)
        columns = carried.permute(2, 1, 3, 0).contiguous().view(samples, pixels, -1)
        found = rows.new_empty((samples, rows.shape[2], columns.shape[2]))
        self.multiply(rows.mT, columns, found)
        by_output = found.view(samples, rows.shape[2], outputs, -1).transpose(1, 2)
        return by_output.reshape(1, samples * outputs, -1)

    def over_pixels(self, h: int, b: int) -> Tensor:
        """∂(αf_ia)/∂b of one cell over the layer's scale, shape (1, n·K, m).

        Args:
            h: the layer's place, from 0.
            b: the cell's.
        """
        carried = self.unit_cotangents.layers[h][b].mT
        return carried.view(len(carried), self.patches.pixels, -1).sum(1).mT[None].contiguous()
