"""Where a block trains: a GPU gives the CPU's numbers; without one, `auto` is the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.workers.blocks import assert_same_bits, block, sphere
from workers import device, training
from workers.networks import FullyConnected
from workers.optimizers import GradientDescent

GPU_AGREEMENT = 1e-9  # float64 on a GPU against float64 on a CPU, after 200 steps


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA on this machine")
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_gpu_gives_the_cpus_numbers(activation: str) -> None:
    """Every measured number of a GPU agrees with the CPU's to 1e-9 in float64."""
    steps = GradientDescent(steps=200, records=12)
    network = FullyConnected(activation=activation)
    data = sphere(samples=12, inputs=8)
    cpu, gpu = (
        training.run(block(network, 64, 3, training=steps, device=each), data) for each in ("cpu", "cuda")
    )
    assert gpu.attrs["device"] == "cuda"
    for name in cpu.data_vars:
        scale = np.nanmax(np.abs(cpu[name].values), initial=0.0)
        np.testing.assert_allclose(
            gpu[name], cpu[name], rtol=GPU_AGREEMENT, atol=GPU_AGREEMENT * scale, err_msg=str(name)
        )


def test_auto_is_the_cpu_where_torch_sees_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block told `auto` trains, on the CPU, to the same bits; no GPU has no memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    network, data = FullyConnected(), sphere()
    auto = training.run(block(network, device="auto"), data)
    assert auto.attrs["device"] == "cpu"
    assert_same_bits(auto, training.run(block(network), data))
    assert device.gpu_memory_bytes() == 0
