"""Tangent kernels of a batch of networks, from activations and cotangents: no Jacobian is formed."""

from __future__ import annotations

from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.compiled import sync_step
from widesweep.workers.engine.convolutional_ensemble import ConvolutionalEnsemble
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.module_ensemble import ModuleEnsemble


def layer_tangent_kernel(ensemble: Ensemble, h: int, other: Ensemble | None = None) -> Tensor:
    """G^(h)_{(i,a),(j,b)} = (s_h² A_i·A_j + t_h²) D_ia·D_jb, layer h's part of the tangent kernel of αf.

    Args:
        ensemble: the networks, after their forward pass.
        h: the layer's place, from 0.
        other: another view of the same networks; then j runs over its points.

    Returns:
        Shape (B, n·K, n'·K), outputs sample-major.
    """
    if isinstance(ensemble, ConvolutionalEnsemble) and ensemble.layers[h].pixels > 1:
        return ensemble.shared_kernel(h, other)
    second = other or ensemble
    layer, outputs = ensemble.layers[h], ensemble.output_count
    a, b = ensemble.inputs[h], second.inputs[h].transpose(1, 2)
    d, e = ensemble.unit_cotangents.layers[h], second.unit_cotangents.layers[h].transpose(1, 2)
    gram = _product(ensemble, a, b, layer.weight_scale**2)
    if layer.bias_scale:
        gram += layer.bias_scale**2
    if outputs == 1:
        return gram.mul_(d * e if layer.fan_out == 1 else _product(ensemble, d, e))
    kernel = _product(ensemble, d, e)
    kernel.view(len(gram), gram.shape[1], outputs, gram.shape[2], outputs).mul_(gram[:, :, None, :, None])
    return kernel


def tangent_kernel(ensemble: Ensemble, other: Ensemble | None = None) -> Tensor:
    """G_{(i,a),(j,b)} = Σ_θ ∂(αf_ia)/∂θ ∂(αf_jb)/∂θ over the parameters that train.

    Args:
        ensemble: the networks, after their forward pass.
        other: another view of the same networks; then j runs over its points.

    Returns:
        Shape (B, n·K, n'·K), outputs sample-major.
    """
    if isinstance(ensemble, ModuleEnsemble):
        return ensemble.own_kernel(other)
    if other is None and ensemble.output_count == 1 and sync_step.computes(ensemble):
        return sync_step.tangent_kernel(ensemble)
    trained = [h for h, layer in enumerate(ensemble.layers) if layer.trains]
    kernel = layer_tangent_kernel(ensemble, trained[0], other)
    for h in trained[1:]:
        kernel += layer_tangent_kernel(ensemble, h, other)
    return kernel


def layer_tangent_kernels(ensemble: Ensemble) -> list[Tensor | None]:
    """G^(h) of each layer, shape (B, n·K, n·K); None where a layer does not train."""
    return [
        layer_tangent_kernel(ensemble, h) if layer.trains else None for h, layer in enumerate(ensemble.layers)
    ]


def _product(ensemble: Ensemble, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
    """scale · left right of two batches of matrices."""
    out = memory_layout.empty(left, len(left), left.shape[1], right.shape[2])
    ensemble.multiply(left, right, out, scale)
    return out
