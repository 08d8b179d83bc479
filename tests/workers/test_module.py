"""Any torch module trains as a loop of autograd does, and as the built-in network that it writes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call, jacrev

from tests.workers import my_modules
from widesweep.workers.data import Data
from widesweep.workers.networks import FullyConnected, Module
from widesweep.workers.optimizers import (
    GradientDescent,
    Langevin,
    Nesterov,
    StochasticGradientDescent,
)
from widesweep.workers.training.block_training import TrainingBlock, run

MEASURED = ("loss", "kernel", "spectrum", "linearized", "second_order")
OPTIMIZERS = {
    "gd": GradientDescent(steps=12, records=5, measure=MEASURED, learning_rate_unit="absolute"),
    "sgd": StochasticGradientDescent(steps=12, records=5, batch_size=3, measure=MEASURED),
    "nesterov": Nesterov(steps=12, records=5, momentum=0.6, measure=MEASURED),
    "langevin": Langevin(steps=12, records=5, temperature=1e-3, measure=MEASURED),
}
ETA = 0.05


def data(outputs: int = 1) -> Data:
    random = np.random.default_rng(5)
    x = random.standard_normal((6, 4))
    y = random.standard_normal((6,) if outputs == 1 else (6, outputs))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Data(x=x, y=y, index=np.arange(6), test_x=x[:0], test_y=y[:0])


def block(network: Any, training: Any, seeds: tuple[int, ...] = (3,), **changes: Any) -> TrainingBlock:
    return TrainingBlock(
        width=10, depth=2, seeds=seeds, learning_rates=(ETA,), learning_rates_absolute=(ETA,),
        steps=training.recorded_steps(), network=network, training=training, device="cpu", **changes,
    )  # fmt: skip


def module(name: str, **options: Any) -> Module:
    return Module(factory=f"tests.workers.my_modules:{name}", options=options)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_built_in_network_written_out_has_its_numbers(name: str, outputs: int) -> None:
    """Every stored number to 1e-10, under each optimiser."""
    theirs = run(block(FullyConnected(), OPTIMIZERS[name]), data(outputs))
    ours = run(block(module("plain", seed=3), OPTIMIZERS[name]), data(outputs))
    for variable in theirs.data_vars:
        np.testing.assert_allclose(
            ours[variable], theirs[variable], rtol=1e-10, atol=1e-10, err_msg=str(variable)
        )


def loop(
    network: Module, points: Data, seed: int, outputs: int, steps: int
) -> tuple[list[float], np.ndarray]:
    """Losses of a plain loop of autograd, and J Jᵀ of all its parameters at the end."""
    made = network.built((0, 10, 2, seed), 4, outputs).double()
    x, y = torch.from_numpy(points.x), torch.from_numpy(points.y).reshape(6, outputs)
    moving = {name: each for name, each in made.named_parameters() if each.requires_grad}
    losses = []
    for _ in range(steps):
        loss = 0.5 * (made(x) - y).square().sum()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for each, gradient in zip(
                moving.values(), torch.autograd.grad(loss, list(moving.values())), strict=True
            ):
                each -= ETA * gradient
    losses.append(float(0.5 * (made(x) - y).square().sum().detach()))
    jacobian = jacrev(lambda p: functional_call(made, p, (x,)).flatten())(moving)
    rows = torch.cat([each.flatten(1) for each in jacobian.values()], 1).detach()
    return losses, np.linalg.eigvalsh((rows @ rows.T).numpy())


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", ["attention", "convolution", "normed"])
def test_architectures_train_as_loops_of_autograd_do(name: str, outputs: int) -> None:
    """Losses of two seeds in one batch, and the extreme eigenvalues of J Jᵀ, to 1e-10."""
    training = GradientDescent(steps=6, records=7, measure=("loss", "kernel"))
    found = run(block(module(name), training, seeds=(3, 8)), data(outputs))
    for place, seed in enumerate((3, 8)):
        losses, eigenvalues = loop(module(name), data(outputs), seed, outputs, 6)
        cell = found.isel(seed=place, learning_rate=0)
        np.testing.assert_allclose(cell["loss"], losses, rtol=1e-10)
        np.testing.assert_allclose(cell["ntk_max_eigenvalue"][-1], eigenvalues[-1], rtol=1e-10)
        np.testing.assert_allclose(
            cell["ntk_min_eigenvalue"][-1], eigenvalues[0], atol=1e-10 * eigenvalues[-1]
        )
    assert not np.allclose(found["loss"][0], found["loss"][1])  # two seeds are two networks


def test_a_cell_is_the_same_in_any_company() -> None:
    """Alone, beside others, and from a checkpoint of two seeds: its numbers agree to rounding."""
    training = GradientDescent(steps=20, records=6, measure=("loss", "kernel"))
    together = run(block(module("attention"), training, seeds=(1, 2, 3, 4)), data())
    alone = run(block(module("attention"), training, seeds=(3,)), data())
    np.testing.assert_allclose(alone["loss"][0], together["loss"][2], rtol=1e-11)


REFUSED = {
    "batch_normed": "buffers change",
    "mixing": "depends on the other samples",
    "dropping": "leave dropout out",
    "branching": "cannot run as one batch",
    "by_numpy": "of one seed differ",
    "wrong_shape": "is wanted",
}


@pytest.mark.parametrize(("name", "told"), REFUSED.items(), ids=REFUSED)
def test_what_a_batch_of_copies_cannot_do_is_refused(name: str, told: str) -> None:
    """One reason and one remedy, before anything starts."""
    with pytest.raises(ValueError, match=told):
        module(name).check(8, 1, 4, 1)


@pytest.mark.parametrize("name", ["plain", "attention", "convolution", "normed"])
def test_what_it_can_do_is_not(name: str) -> None:
    """The control of the refusals."""
    module(name).check(8, 1, 4, 2)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="not a torch"):
        module("no_module").check(8, 1, 4, 1)


def test_the_kernel_does_not_depend_on_how_many_rows_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one sample's Jacobian at a time G is the same to rounding."""
    from widesweep.workers.engine import module_ensemble

    training = GradientDescent(steps=2, records=3, measure=("spectrum",))
    whole = run(block(module("attention"), training), data(2))
    monkeypatch.setattr(module_ensemble, "JACOBIAN_BYTES", 1)
    parts = run(block(module("attention"), training), data(2))
    for variable in whole.data_vars:
        np.testing.assert_allclose(parts[variable], whole[variable], rtol=1e-9, atol=1e-12)


def test_my_modules_draw_under_torchs_generator_alone() -> None:
    """Building one leaves torch's own generator where it was."""
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    my_modules.plain(4, 1, 3, 1)
    module("attention").built((0, 4, 1, 7), 3, 1)
    assert torch.equal(before, torch.random.get_rng_state())
