"""Small starts of networks whose passes are compiled."""

from __future__ import annotations

import numpy as np
import torch

from widesweep.workers.engine.initial_state import InitialState, Points
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.networks import FullyConnected, RandomFeatures, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent

STEPS, CELLS = 40, 3
CASES = {
    "relu": FullyConnected(weight_variance=2.0),
    "biases": FullyConnected(weight_variance=1.5, bias_variance=0.3),
    "linear, centred": FullyConnected(activation="linear", weight_variance=1.0, centered=True),
    "last layer": FullyConnected(weight_variance=2.0, trains="last"),
    "random features": RandomFeatures(),
    "signs stay": TwoLayer(trains="hidden"),
}


def start_of(
    network: Network, outputs: int = 1, samples: int = 5, width: int = 7, dtype: torch.dtype = torch.float64
) -> InitialState:
    random = np.random.default_rng(1)
    points = random.normal(size=(samples, 6))
    x = torch.from_numpy(points / np.linalg.norm(points, axis=1, keepdims=True)).to(dtype)
    y = torch.from_numpy(random.normal(size=samples * outputs)).to(dtype)
    depth = 3 if isinstance(network, FullyConnected) else 1
    layers = network.layers(width, depth, 6, outputs)
    coordinates = [(0, width, depth, seed) for seed in range(CELLS)]
    starts = [initial_parameters(layers, each, dtype, torch.device("cpu")) for each in coordinates]
    return InitialState(
        network, GradientDescent(steps=STEPS), layers, coordinates, starts, Points(x, y, x[:0], y[:0])
    )
