"""What need not be computed between two sync steps: the first layer's weights, layers below all that trains.

Gradient descent moves W₁ within the span of the inputs, W₁(k) = W₁(0) − s Xᵀ Δ(k) with
Δ(k) = Σ_{j<k} ηr ∘ D_1(j), so that z₁(k) = z₁(0) − (s²XXᵀ + t²) Δ(k). Two products of n·d·m a step, the
layer's forward pass and its update, become one of n·n·m and a sum; W₁ is put in place at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from widesweep.workers.engine import memory_layout
from widesweep.workers.engine.batch import Batch, InputSpaceUpdate, lowest_trained
from widesweep.workers.engine.sync_steps import SHORTEST_UPDATE


@contextlib.contextmanager
def in_input_space(ensemble: Batch, steps: int) -> Iterator[None]:
    """Updates a batch's first layer in the samples' space for some steps of descent, where that is cheaper.

    The samples' own products cost n·n·m for 2·n·d·m: it is done for n ≤ d, for a layer that trains and hands
    on σ(z) alone. Layers below the lowest that trains are not computed again at all.

    Args:
        ensemble: after its forward pass; its weights are in place before and after, not within.
        steps: how many steps of descent will be taken within.
    """
    lowest = lowest_trained(ensemble.layers)
    ensemble.lowest_moving = lowest
    if lowest == 0 and steps >= SHORTEST_UPDATE and _is_cheaper(ensemble):
        ensemble.input_space_update = begin(ensemble)
    try:
        yield
    finally:
        ensemble.lowest_moving = 0
        layer, ensemble.input_space_update = ensemble.input_space_update, None
        if layer is not None:
            ensemble.subtract_from_layer(0, layer.moved, ensemble.trained)


def _is_cheaper(ensemble: Batch) -> bool:
    layer = ensemble.layers[0]
    shared = ensemble.is_dense and len(ensemble.x) == 1
    return shared and ensemble.x.shape[1] <= layer.fan_in and not layer.branches


def begin(ensemble: Batch) -> InputSpaceUpdate:
    """The first layer's product with all inputs, from which an update in input space starts."""
    layer = ensemble.room_for_update
    if layer is None:
        layer = ensemble.room_for_update = _room(ensemble)
    ensemble.product(0, layer.base)
    layer.moved.zero_()
    return layer


def _room(ensemble: Batch) -> InputSpaceUpdate:
    layer, x, gram = ensemble.layers[0], ensemble.x, ensemble.input_gram
    assert gram is not None  # the update is cheaper only where all cells share their inputs
    base, moved = (memory_layout.by_feature(x, len(ensemble), x.shape[1], layer.fan_out) for _ in range(2))
    return InputSpaceUpdate(base, gram, moved)
