"""Small blocks of cells, their data and their starting parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import xarray as xr

from tests.workers import reference
from widesweep.workers.data import Data, DataConfig, load
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.measurements import TRAINING_VARIABLES
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.block_training import TrainingBlock


def sphere(samples: int = 5, inputs: int = 4, outputs: int = 1, test_samples: int = 0) -> Data:
    """Points with a teacher's labels, or with so many random ones in a row."""
    config = DataConfig(source="sphere", samples=samples, test_samples=test_samples, inputs=inputs, seed=3)
    data = load(config)
    if outputs == 1:
        return data
    random = np.random.default_rng(outputs)
    y, test_y = (random.standard_normal((rows, outputs)) for rows in (samples, test_samples))
    return replace(data, y=y, test_y=test_y)


def block(network: Network, width: int = 6, depth: int = 2, **changes: object) -> TrainingBlock:
    training = changes.pop("training", GradientDescent(steps=6, records=7))
    settings = {
        "seeds": (0, 3),
        "learning_rates": (0.05, 0.1),
        "learning_rates_absolute": (0.05, 0.1),
        "steps": training.recorded_steps(),
        "device": "cpu",
    }
    return TrainingBlock(width, depth, network=network, training=training, **{**settings, **changes})


def start_parameters(b: TrainingBlock, seed: int, inputs: int, outputs: int = 1) -> reference.Parameters:
    layers = b.network.layers(b.width, b.depth, inputs, outputs)
    cpu = torch.device("cpu")
    weights, biases = initial_parameters(layers, (b.seed, b.width, b.depth, seed), torch.float64, cpu)
    named = {f"w{h}": w for h, w in enumerate(weights, 1)}
    return named | {f"b{h}": v for h, v in enumerate(biases, 1) if v is not None}


def assert_same_bits(a: xr.Dataset, b: xr.Dataset) -> None:
    for variable in TRAINING_VARIABLES:
        np.testing.assert_array_equal(a[variable.name], b[variable.name], err_msg=variable.name)
