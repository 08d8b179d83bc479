"""Every layer's pre-activations, which the forward pass overwrites with activations where it can."""

from __future__ import annotations

from torch import Tensor

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.ensemble import Ensemble


def pre_activations(ensemble: Ensemble) -> list[Tensor]:
    """z_h = s_h A_{h−1} W_h + t_h b_h of all layers, the output's last; shapes (B, n, fan_out).

    Where pixels share a layer it has a row for each of them.

    Args:
        ensemble: after its forward pass, its parameters as they were then.
    """
    samples = ensemble.x.shape[1]
    found = [
        memory_layout.by_feature(ensemble.x, len(ensemble), layer.pixels * samples, layer.fan_out)
        for layer in ensemble.layers
    ]
    for h, z in enumerate(found):
        ensemble.product(h, z)
    return found
