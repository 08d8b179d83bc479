"""Costs: what is not measured is not counted, a quantity that two measurements share is counted once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.workers.blocks import sphere
from widesweep.workers.data import Dimensions
from widesweep.workers.engine.backend import BACKENDS
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.parameters import initial_parameters
from widesweep.workers.engine.tangent_kernels import tangent_kernel
from widesweep.workers.measurements import MEASUREMENTS, quantities
from widesweep.workers.measurements import needs as needed
from widesweep.workers.networks import FullyConnected, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.costs import memory_bytes, record_flops, step_flops

SIZE = Dimensions(samples=32, inputs=16, outputs=3, test_samples=8)
NETWORK = FullyConnected(weight_variance=2.0)


def flops(*names: str) -> float:
    return record_flops(NETWORK, GradientDescent(steps=1, measure=names), 64, 3, SIZE)


def test_a_record_of_the_loss_alone_costs_nothing_and_every_other_one_something() -> None:
    """Zero operations beside the step, as of the accuracy; each other its own, no more memory than all."""
    assert flops("loss") == flops("accuracy") == 0.0
    assert all(flops(name) > 0 for name in MEASUREMENTS if name not in ("loss", "accuracy"))
    few, everything = (GradientDescent(steps=1, measure=each) for each in (("loss",), tuple(MEASUREMENTS)))
    assert memory_bytes(NETWORK, few, 64, 3, SIZE) < memory_bytes(NETWORK, everything, 64, 3, SIZE)


def test_what_measurements_share_is_counted_once() -> None:
    """Modes and spectrum read one set of eigenpairs; the kernel's own eigenvalues come on top."""
    assert flops("spectrum", "modes") == flops("spectrum")
    assert flops("spectrum", "kernel") < flops("spectrum") + flops("kernel")


def test_every_need_is_a_quantity_that_is_counted() -> None:
    """No measurement names what the model does not know, and no quantity is without a reader."""
    assert set(needed(tuple(MEASUREMENTS))) == set(quantities.QUANTITIES)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Operations of each batched matrix product that is made."""
    found: list[float] = []
    backend = BACKENDS["compiled"]

    def counting(a: Tensor, b: Tensor, *rest: Any) -> None:
        found.append(2.0 * a.numel() * b.shape[2])
        backend.multiply(a, b, *rest)

    monkeypatch.setitem(BACKENDS, "compiled", replace(backend, multiply=counting))
    return found


@pytest.mark.parametrize("network", [NETWORK, TwoLayer()], ids=["deep", "two-layer"])
@pytest.mark.parametrize("outputs", [2, 5])
def test_operations_are_those_of_the_products_that_are_made(
    network: Network, outputs: int, made: list[float]
) -> None:
    """A step, and a kernel after it: K outputs share a cotangent row in the one, not in the other."""
    width, depth, data = 24, 1 if network.allowed_depths() else 3, sphere(6, 5, outputs)
    layers, cpu = network.layers(width, depth, 5, outputs), torch.device("cpu")
    start = initial_parameters(layers, (0, width, depth, 0), torch.float64, cpu)
    batch = Ensemble(network, layers, [start], [0], np.array([1e-3]), torch.from_numpy(data.x))
    made.clear()
    batch.is_compiled = False  # torch's products are counted
    batch.step(batch.forward() - torch.from_numpy(data.y.ravel()))
    step = sum(made)
    batch.forward()
    made.clear()
    tangent_kernel(batch)
    size, training = Dimensions(6, 5, outputs), GradientDescent(steps=1)
    assert step == step_flops(network, training, width, depth, size)
    assert sum(made) == quantities.flops(("unit_cotangents", "kernel"), quantities.Sizes(layers, 6))
