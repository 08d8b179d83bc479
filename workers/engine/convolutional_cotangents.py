"""The backward pass of a convolutional network by hand: cotangents of every pixel, from the outputs' own."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.batch import Batch, lowest_trained
from widesweep.workers.engine.cotangents import Cotangents
from widesweep.workers.engine.image_patches import ImagePatches


class ConvolutionalBatch(Batch, Protocol):
    """The part of a `ConvolutionalEnsemble` that the backward pass reads."""

    features: list[Tensor]
    patches: ImagePatches
    pools: bool


class ConvolutionalCotangents(Cotangents):
    """D_h(p) = Σ_a c_ia ∂(αf_ia)/∂z_h(p), rows pixel by pixel, each pixel's as `Cotangents` has them.

    Attributes:
        layers: shape (B, P·n·per_sample, m) of convolutional layers, (B, n·per_sample, K) of the read-out.
    """

    def __init__(self, ensemble: Batch, per_sample: int) -> None:
        """Room for the rows of an ensemble at its present batch and points."""
        self.per_sample = per_sample
        cells, rows = len(ensemble), per_sample * ensemble.x.shape[1]
        *hidden, output = ensemble.layers

        def make(columns: int, pixels: int) -> Tensor:
            return memory_layout.empty(ensemble.x, cells, columns, pixels * rows).mT

        self.layers = [make(layer.fan_out, layer.pixels) for layer in hidden]
        self.layers.append(memory_layout.by_feature(ensemble.x, cells, rows, output.fan_out))
        self._past_skip = [make(layer.fan_out, layer.pixels) if layer.skip else None for layer in hidden]
        upper = hidden[1:]
        self._patches = make(upper[0].fan_in, upper[0].pixels) if upper else None

    def carry(self, ensemble: Batch, weights: Tensor | None = None) -> None:
        """Fills the layers below the output down to the lowest that trains.

        Args:
            ensemble: a `ConvolutionalEnsemble`, after its forward pass.
            weights: c of one row at each sample, shape (B, n, K); default: the outputs' rows are there.
        """
        network: ConvolutionalBatch = ensemble  # type: ignore[assignment]
        if weights is not None:
            torch.mul(weights, network.output_scale, out=self.layers[-1])
        lowest, top = lowest_trained(network.layers), len(network.layers) - 1
        if lowest == top:
            return
        self._of_features(network)
        self._pull_back_at(network, top - 1)
        for h in range(top - 1, lowest, -1):
            assert self._patches is not None
            matrix, scale = network.weights[h].transpose(1, 2), network.layers[h].weight_scale
            network.multiply(self.layers[h], matrix, self._patches, scale)
            network.patches.fold(self._patches, network.patches.images(self.layers[h - 1]))
            around = self._past_skip[h]
            if around is not None:
                self.layers[h - 1].add_(around)
            self._pull_back_at(network, h - 1)

    def _of_features(self, network: ConvolutionalBatch) -> None:
        """From the outputs to what the read-out reads: every pixel, or their mean."""
        above, below, layer = self.layers[-1], self.layers[-2], network.layers[-1]
        matrix, (cells, rows, _) = network.weights[-1].transpose(1, 2), above.shape
        flat = below.mT.view(cells, -1, rows)  # of every pixel
        if not network.pools:
            network.multiply(above, matrix, flat.mT, layer.weight_scale)
            return
        mean = memory_layout.empty(above, cells, layer.fan_in, rows)
        network.multiply(above, matrix, mean.mT, layer.weight_scale / network.patches.pixels)
        flat.view(cells, layer.fan_in, -1, rows).copy_(mean[:, :, None])

    def _pull_back_at(self, network: ConvolutionalBatch, h: int) -> None:
        """Through layer h's branch, from its features to its pre-activations."""
        below, layer, aside = self.layers[h], network.layers[h], self._past_skip[h]
        if aside is not None:
            aside.copy_(below)
        z = network.pre_activations[h]
        kept = z if layer.branches and not network.activation.keeps_input else network.features[h]
        if self.per_sample == 1:
            network.activation.pull_back(below.mT, z.mT, kept.mT)
        else:  # all rows of a sample share its activations
            rows = below.mT.view(*z.mT.shape, self.per_sample)
            network.activation.pull_back(rows, z.mT[..., None], kept.mT[..., None])
        if layer.branch_scale != 1.0:
            below.mul_(layer.branch_scale)
