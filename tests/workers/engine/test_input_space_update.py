"""Descent that holds the first layer takes the steps that descent takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tolerances import EXACT
from widesweep.workers.engine import input_space_update
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.networks import FullyConnected, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent

STEPS = 40
CASES = (
    FullyConnected(activation="tanh", weight_variance=1.5, bias_variance=0.3),
    FullyConnected(weight_variance=2.0),
    FullyConnected(activation="erf", weight_variance=1.5, parameterization="standard", bias_variance=0.1),
    FullyConnected(weight_variance=2.0, trains="last"),
    TwoLayer(trains="hidden"),
)


def start_of(network: Network, samples: int, inputs: int, depth: int) -> InitialState:
    """Three networks of width 6 on random unit points."""
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(samples, inputs)))
    x /= x.norm(dim=1, keepdim=True)
    y = torch.from_numpy(np.random.default_rng(2).normal(size=samples))
    layers = network.layers(6, depth, inputs)
    coordinates = [(0, 6, depth, seed) for seed in range(3)]
    starts = [initial_parameters(layers, c, torch.float64, torch.device("cpu")) for c in coordinates]
    training = GradientDescent(steps=STEPS)
    return InitialState(network, training, layers, coordinates, starts, Points(x, y, x[:0], y[:0]))


def stretched(start: InitialState) -> Ensemble:
    """As training does it: the first step from the unit cotangents, the others within one stretch."""
    batch = start.batch(np.arange(3), np.full(3, 0.02))
    residual = batch.forward() - start.targets
    batch.backward(residual)
    start.training.stepper(batch, start).advance(residual, 0, STEPS)
    return batch


def step_by_step(start: InitialState) -> Ensemble:
    """With a sync step at every step there is no input-space update."""
    batch = start.batch(np.arange(3), np.full(3, 0.02))
    for _ in range(STEPS):
        batch.step(batch.forward() - start.targets)
    return batch


def difference(one: Ensemble, other: Ensemble) -> float:
    """Largest difference of any parameter, and of the outputs."""
    pairs = zip(one.trained.tensors, other.trained.tensors, strict=True)
    outputs = (one.forward() - other.forward()).abs().max()
    return float(max([outputs, *((a - b).abs().max() for a, b in pairs)]))


@pytest.mark.parametrize("network", CASES, ids=lambda n: f"{n.kind}-{n.activation}-{n.trains}")
@pytest.mark.parametrize(("samples", "inputs"), [(4, 9), (9, 9), (9, 4)])
def test_a_stretch_ends_where_single_steps_end(network: Network, samples: int, inputs: int) -> None:
    """Fewer, as many and more samples than inputs; with biases, fixed layers and signs."""
    start = start_of(network, samples, inputs, 1 if network.kind == "two_layer" else 2)
    one, other = stretched(start), step_by_step(start)
    assert difference(one, other) < EXACT
    moved = max(float((w - w0).abs().max()) for w, w0 in zip(one.weights, one.initial_weights, strict=True))
    assert moved > 1e-3


def test_a_wrong_gram_matrix_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the bias in s²XXᵀ + t² the stretch ends elsewhere."""
    start = start_of(CASES[0], 4, 9, 2)
    right, begin = stretched(start), input_space_update.begin

    def without_bias(ensemble: Ensemble) -> input_space_update.InputSpaceUpdate:
        layer = begin(ensemble)
        layer.gram.sub_(ensemble.layers[0].bias_scale ** 2)
        return layer

    monkeypatch.setattr(input_space_update, "begin", without_bias)
    assert difference(stretched(start), right) > 1e-4
