"""Plain torch takes the compiled loops' place on a CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tolerances import EXACT
from tests.workers.blocks import block, sphere
from tests.workers.engine.compiled.starts import CASES, start_of
from widesweep.workers.engine import backend, matmul
from widesweep.workers.engine.compiled import segment, sync_step
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.networks import FullyConnected, RandomFeatures, ResNet, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.block_training import run

KINDS = {
    "relu": (FullyConnected(weight_variance=2.0), 3),
    "biases": (FullyConnected(weight_variance=1.5, bias_variance=0.3), 2),
    "linear, centred": (FullyConnected(activation="linear", weight_variance=1.0, centered=True), 2),
    "two layers": (TwoLayer(), 1),
    "random features": (RandomFeatures(), 1),
    "resnet": (ResNet(), 2),
}


@pytest.fixture
def no_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every compiled pass and product of a network fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("machine code was called")

    for module, name in (
        (sync_step, "forward_pass"), (sync_step, "carry"), (sync_step, "step"), (sync_step, "steps"),
        (sync_step, "tangent_kernel"), (segment, "descend"), (matmul, "multiply"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, refuse)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_both_backends_store_the_same_numbers(kind: str, outputs: int) -> None:
    """To 1e-10, with segments of several steps and all measurements that depend on no degenerate basis."""
    network, depth = KINDS[kind]
    measure = tuple(name for name in MEASUREMENTS if name not in ("modes", "du_conditions"))
    training = GradientDescent(steps=40, records=6, measure=measure)
    data = sphere(outputs=outputs, test_samples=2)
    ours, theirs = (
        run(block(network, 8, depth, training=training, backend=name), data) for name in backend.BACKENDS
    )
    for name in ours.data_vars:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=EXACT, atol=EXACT, err_msg=name)
    assert float(ours.loss[..., 0].max()) > float(ours.loss[..., -1].max())


@pytest.mark.usefixtures("no_machine_code")
@pytest.mark.parametrize("network", CASES.values(), ids=CASES.keys())
def test_torch_alone_calls_no_machine_code(network: Network) -> None:
    """It trains where every compiled pass fails; the compiled backend does not."""
    b, data = block(network, 6, 1), sphere()
    run(block(network, 6, 1, backend="torch"), data)
    with pytest.raises(AssertionError, match="machine code was called"):
        run(b, data)


def test_a_batch_says_which_it_has() -> None:
    """Compiled loops are the default on a CPU."""
    start = start_of(CASES["relu"], dtype=torch.float64)
    assert start.ensemble.is_compiled
    assert start.backend == "compiled"
