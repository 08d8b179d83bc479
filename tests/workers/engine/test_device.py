"""Where a block trains: a GPU gives the CPU's numbers; without one, `auto` is the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.workers.blocks import assert_same_bits, block, sphere
from widesweep.workers.engine import device
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.networks import FullyConnected, ResNet
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import (
    GradientDescent,
    GradientFlow,
    Langevin,
    Nesterov,
    StochasticGradientDescent,
)
from widesweep.workers.optimizers.optimizer import Training
from widesweep.workers.training import block_training
from widesweep.workers.variable import DIVERGED, DONE

GPU_AGREEMENT = 1e-9  # float64 on a GPU against float64 on a CPU, after 200 steps
# Before relu networks converge: some pre-activations slide along their kink to exactly 0, where rounding
# decides their pattern, and with it some percent of a small network's kernel.
RATES = (0.005, 0.01)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA on this machine")
RELU, STEPS = FullyConnected(), {"steps": 200, "records": 12}
EVERYTHING = tuple(MEASUREMENTS)
BLOCKS: dict[str, tuple[Network, Training, int]] = {
    "relu": (RELU, GradientDescent(**STEPS), 1),
    "tanh": (FullyConnected(activation="tanh"), GradientDescent(**STEPS), 1),
    "biases": (FullyConnected(bias_variance=0.1), GradientDescent(**STEPS), 1),
    "three outputs": (RELU, GradientDescent(**STEPS), 3),
    "residual": (ResNet(), GradientDescent(**STEPS), 1),
    "everything measured": (RELU, GradientDescent(**STEPS, measure=EVERYTHING), 1),
    "nesterov": (RELU, Nesterov(**STEPS), 1),
    "sgd": (RELU, StochasticGradientDescent(**STEPS, batch_size=5), 1),
    "langevin": (RELU, Langevin(**STEPS, temperature=1e-4), 1),
    "gradient flow": (
        FullyConnected(activation="tanh"),
        GradientFlow(steps=20, records=5, tolerance=1e-9),
        1,
    ),
}


@gpu
@pytest.mark.parametrize("name", BLOCKS)
def test_a_gpu_gives_the_cpus_numbers(name: str) -> None:
    """Every measured number of a GPU agrees with the CPU's to 1e-9 in float64."""
    network, steps, outputs = BLOCKS[name]
    data = sphere(samples=12, inputs=8, outputs=outputs, test_samples=6)
    cpu, gpu = (
        block_training.run(
            block(network, 64, 3, training=steps, device=each, learning_rates_absolute=RATES), data
        )
        for each in ("cpu", "cuda")
    )
    assert gpu.attrs["device"] == "cuda"
    for variable in cpu.data_vars:
        scale = np.nanmax(np.abs(cpu[variable].values), initial=0.0)
        np.testing.assert_allclose(
            gpu[variable],
            cpu[variable],
            rtol=GPU_AGREEMENT,
            atol=GPU_AGREEMENT * scale,
            err_msg=str(variable),
        )


@gpu
def test_a_batch_on_a_gpu_shrinks_as_cells_diverge() -> None:
    """Cells that leave the batch leave the others their numbers: what was captured with them is dropped."""
    data, rates = sphere(samples=12, inputs=8), {"learning_rates": (0.005, 50.0), "device": "cuda"}
    steps = GradientDescent(steps=200, records=12)
    mixed = block_training.run(
        block(RELU, 64, 3, training=steps, learning_rates_absolute=(0.005, 50.0), **rates), data
    )
    alone = block_training.run(
        block(
            RELU,
            64,
            3,
            training=steps,
            device="cuda",
            learning_rates=(0.005,),
            learning_rates_absolute=(0.005,),
        ),
        data,
    )
    assert (mixed.status == [DONE, DIVERGED]).all()
    one = mixed.isel(learning_rate=[0])
    for variable in alone.data_vars:
        np.testing.assert_allclose(one[variable], alone[variable], rtol=GPU_AGREEMENT, err_msg=str(variable))


def test_auto_is_the_cpu_where_torch_sees_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block told `auto` trains, on the CPU, to the same bits; no GPU has no memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    network, data = FullyConnected(), sphere()
    auto = block_training.run(block(network, device="auto"), data)
    assert auto.attrs["device"] == "cpu"
    assert_same_bits(auto, block_training.run(block(network), data))
    assert device.gpu_memory_bytes() == 0
