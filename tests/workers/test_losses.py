"""Losses: every one under every optimiser against plain loops of autograd, and what theory says of none."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.tolerances import EXACT
from tests.workers import my_modules, reference
from tests.workers.blocks import block, sphere, start_parameters
from tests.workers.test_module import module
from widesweep.workers.data import Data
from widesweep.workers.losses import LOSSES, Huber, loss
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.networks import FullyConnected, ResNet
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import (
    Adam,
    GradientDescent,
    Langevin,
    Momentum,
    Nesterov,
    StochasticGradientDescent,
    Training,
)
from widesweep.workers.seeds import generator
from widesweep.workers.training.block_training import run

STEPS, RATE, SEED = 9, 0.1, 3
EVERY: dict[str, Any] = {"steps": STEPS, "records": 4, "measure": ("loss", "kernel", "accuracy")}
Tensors = dict[str, torch.Tensor]
SECOND: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "logistic": lambda f, y: functional.soft_margin_loss(f, y, reduction="sum"),
    "cross_entropy": lambda f, y: functional.cross_entropy(f, y.argmax(1), reduction="sum"),
    "huber": lambda f, y: functional.huber_loss(f, y, reduction="sum"),
    "tests.workers.my_losses:log_cosh": lambda f, y: (f - y).cosh().log().sum(),
}
OPTIMIZERS: dict[str, tuple[type[Training], dict[str, Any], Any, dict[str, Any]]] = {
    "gd": (GradientDescent, {}, torch.optim.SGD, {}),
    "sgd": (StochasticGradientDescent, {"batch_size": 2}, torch.optim.SGD, {}),
    "momentum": (Momentum, {"momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8}),
    "adam": (Adam, {"epsilon": 1e-6}, torch.optim.Adam, {"eps": 1e-6}),
}
NETWORKS = {
    "fully connected": FullyConnected(bias_variance=0.2),
    "resnet": ResNet(activation="gelu"),
    "module": module("plain", seed=SEED),
}


def points(name: str) -> Data:
    """Five points with labels that the loss takes."""
    data = sphere(outputs=3 if name == "cross_entropy" else 1, test_samples=4)
    if name == "cross_entropy":
        y, test_y = (np.eye(3)[each.argmax(1)] for each in (data.y, data.test_y))
        return replace(data, y=y, test_y=test_y)
    return replace(data, y=np.sign(data.y), test_y=np.sign(data.test_y)) if name == "logistic" else data


def start(
    network: Network, outputs: int
) -> tuple[list[torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
    """Leaves, and outputs (n, K) of inputs."""
    if network.kind == "module":
        made = my_modules.plain(6, 2, 4, outputs, seed=SEED)
        return list(made.parameters()), made
    parameters = start_parameters(block(network), SEED, 4, outputs)
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    f = reference.function(network, 6, 2)
    return list(leaves.values()), lambda x: f(leaves, x).reshape(-1, outputs)


def batches(name: str, samples: int) -> Iterator[list[int]]:
    """Rows of each step's batch."""
    for epoch in itertools.count():
        order = generator("batches", 0, 6, 2, SEED, epoch).permutation(samples)
        size = 2 if name == "sgd" else samples
        yield from (order[first : first + size].tolist() for first in range(0, samples, size))


def loop(name: str, loss_name: str, network: Network, data: Data) -> np.ndarray:
    """L and ‖∂L/∂f‖ before each step and at the end, by autograd."""
    _, _, kind, options = OPTIMIZERS[name]
    leaves, f = start(network, data.outputs)
    optimizer = kind(leaves, lr=RATE, **options)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y).reshape(len(data.y), -1)
    rows, chosen = [], batches(name, len(y))
    for _ in range(STEPS + 1):
        outputs = f(x).detach().requires_grad_()
        value = SECOND[loss_name](outputs, y)
        (residual,) = torch.autograd.grad(value, outputs)
        rows.append((float(value.detach()), float(residual.norm())))
        batch = next(chosen)
        optimizer.zero_grad()
        (len(y) / len(batch) * SECOND[loss_name](f(x[batch]), y[batch])).backward()
        optimizer.step()
    return np.array(rows)


def training(name: str, loss_name: Any, **changes: Any) -> Training:
    kind, options, _, _ = OPTIMIZERS[name]
    return kind(loss=loss_name, **options, **EVERY | changes)


def cells(network: Network, settings: Training, data: Data, **changes: Any) -> Any:
    rates = {"learning_rates": (RATE,), "learning_rates_absolute": (RATE,), "seeds": (SEED,)}
    return run(block(network, training=settings, **rates | changes), data)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("loss_name", SECOND)
def test_every_loss_under_every_optimiser_equals_autograd(
    loss_name: str, name: str, network: Network
) -> None:
    """Loss and residual norm at every record to 1e-10, segments between records included."""
    data, settings = points(loss_name), training(name, loss_name)
    found = cells(network, settings, data)
    expected = loop(name, loss_name, network, data)[list(settings.recorded_steps())]
    np.testing.assert_allclose(found.loss.squeeze(), expected[:, 0], rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(found.residual_norm.squeeze(), expected[:, 1], rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("loss_name", ["logistic", "cross_entropy", "huber"])
def test_another_loss_is_another_path(loss_name: str) -> None:
    """Negative control: the squared loss of the same labels has other losses from the second record on."""
    data = points(loss_name)
    ours, squared = (
        cells(NETWORKS["fully connected"], training("gd", each), data).residual_norm.values[0, 0]
        for each in (loss_name, "squared")
    )
    assert not np.allclose(ours[1:], squared[1:], rtol=1e-3)


@pytest.mark.parametrize("loss_name", LOSSES.built_in)
def test_a_derivative_is_that_of_its_value(loss_name: str) -> None:
    """By automatic differentiation of the value, to 1e-10."""
    count = 3 if loss_name == "cross_entropy" else 1
    random = np.random.default_rng(4)
    outputs, y = (torch.from_numpy(random.standard_normal((4, 6))) for _ in range(2))
    targets = y.sign() if loss_name == "logistic" else y
    if count == 3:
        targets = torch.eye(3, dtype=torch.float64)[y.reshape(4, 2, 3).argmax(-1)].flatten(1)
    ours = loss(loss_name)
    found = ours.residual(outputs, targets, count)
    np.testing.assert_allclose(found, replace(ours, derivative=None).residual(outputs, targets, count), EXACT)


@pytest.mark.parametrize("name", ["logistic", "cross_entropy", "huber"])
def test_bits_do_not_depend_on_company(name: str) -> None:
    """A cell alone has the bits that it has among others, under descent in segments and under Adam."""
    data = points(name)
    for settings in (training("gd", name), training("adam", name)):
        several = {"seeds": (1, 3, 5), "learning_rates": (RATE, 0.4), "learning_rates_absolute": (RATE, 0.4)}
        together = cells(FullyConnected(), settings, data, **several)
        alone = cells(FullyConnected(), settings, data)
        chosen = together.sel(seed=[3], learning_rate=[RATE])
        for variable in ("loss", "ntk_min_eigenvalue", "accuracy"):
            np.testing.assert_array_equal(chosen[variable], alone[variable])


@pytest.mark.parametrize("name", ["logistic", "cross_entropy", "huber"])
def test_a_loss_gives_each_network_its_own_bits(name: str) -> None:
    """Whatever the size of the batch and of the data, in both precisions; far labels included."""
    random = np.random.default_rng(4)
    for dtype, rows in itertools.product((torch.float32, torch.float64), (1, 5, 37)):
        f = torch.as_tensor(20.0 * random.standard_normal((7, 3 * rows)), dtype=dtype)
        y = torch.eye(3, dtype=dtype)[torch.as_tensor(random.integers(3, size=rows))].flatten()
        ours, targets = loss(name), 2.0 * y - 1.0 if name == "logistic" else y
        for form in (ours.residual, ours.total):
            together = form(f, targets, 3)
            assert all(torch.equal(together[k : k + 1], form(f[k : k + 1], targets, 3)) for k in range(7))


@pytest.mark.parametrize("name", ["logistic", "cross_entropy"])
def test_sharpness_is_that_of_the_loss(name: str) -> None:
    """At step 0 of a tanh network against autograd's Hessian of all parameters, to what differences allow."""
    data, network = points(name), FullyConnected(activation="tanh")
    found = cells(network, training("gd", name, measure=("sharpness",)), data).sharpness.values[0, 0, 0]
    parameters = start_parameters(block(network), SEED, 4, data.outputs)
    flat = torch.cat([each.flatten() for each in parameters.values()])
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y).reshape(len(data.y), -1)

    def value(theta: torch.Tensor) -> torch.Tensor:
        parts = torch.split(theta, [each.numel() for each in parameters.values()])
        named = {n: p.reshape(each.shape) for p, (n, each) in zip(parts, parameters.items(), strict=True)}
        return SECOND[name](reference.function(network, 6, 2)(named, x).reshape(y.shape), y)

    hessian = torch.autograd.functional.hessian(value, flat)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-7)


def test_huber_of_a_wide_middle_is_the_squared_loss() -> None:
    """δ = 1e6 leaves the squared loss to rounding, by nesterov and langevin too; δ = 0.1 does not."""
    data = points("huber")
    for kind, options in ((Nesterov, {"momentum": 0.5}), (Langevin, {"temperature": 0.01})):
        wide, narrow, squared = (
            cells(FullyConnected(), kind(loss=each, **options, **EVERY), data).loss
            for each in (Huber(huber=1e6), Huber(huber=0.1), "squared")
        )
        np.testing.assert_allclose(wide, squared, rtol=EXACT)
        assert not np.allclose(narrow, squared, rtol=1e-2)


def test_a_logistic_cell_that_explodes_counts_as_diverged() -> None:
    """Its residual is bounded, so the outputs' distance from the labels tells."""
    rates = {"learning_rates": (RATE, 1e9), "learning_rates_absolute": (RATE, 1e9)}
    linear = FullyConnected(activation="linear")
    found = cells(linear, training("gd", "logistic"), points("logistic"), **rates)
    assert found.status.squeeze().values.tolist() == [1, 2]


def test_accuracy_counts_what_is_right() -> None:
    """Of outputs at step 0 and at the end, train and test, by hand; labels turned round give the rest."""
    measure = ("loss", "accuracy", "test_accuracy")
    for name in ("logistic", "cross_entropy"):
        data = points(name)
        found = cells(FullyConnected(), training("gd", name, measure=measure), data)
        f = start(FullyConnected(), data.outputs)[1]
        for x, y, variable in ((data.x, data.y, "accuracy"), (data.test_x, data.test_y, "test_accuracy")):
            outputs = f(torch.from_numpy(x)).detach().numpy()
            right = outputs.argmax(1) == y.argmax(1) if y.ndim > 1 else np.sign(outputs[:, 0]) == y
            assert found[variable].values[0, 0, 0] == right.mean()
    turned = cells(
        FullyConnected(),
        training("gd", "logistic", measure=measure),
        replace(data := points("logistic"), y=-data.y),
    )
    straight = cells(FullyConnected(), training("gd", "logistic", measure=measure), data)
    assert turned.accuracy.values[0, 0, 0] == 1.0 - straight.accuracy.values[0, 0, 0]


@pytest.mark.parametrize(
    ("name", "labels", "told"),
    [
        ("logistic", np.array([1.0, 0.5]), "one is 0.5"),
        ("cross_entropy", np.array([1.0, -1.0]), "single numbers"),
        ("cross_entropy", np.array([[1.0, 0.0], [1.0, 1.0]]), "row 1"),
        ("tests.workers.my_losses:whole", np.array([1.0, 2.0]), "shape"),
        ("tests.workers.my_losses:infinite", np.array([1.0, 2.0]), "not finite"),
    ],
)
def test_labels_and_forms_that_do_not_suit_are_told(name: str, labels: np.ndarray, told: str) -> None:
    assert told in loss(name).objection(labels)
    assert not loss("squared").objection(labels)


def test_the_linearised_model_is_of_the_squared_loss() -> None:
    """Measurements of it are refused; the reason is the one place that says what theory predicts."""
    for name in ("linearized", "linearized_test", "du_conditions"):
        with pytest.raises(ValueError, match="the loss is not squared"):
            GradientDescent(steps=3, loss="logistic", measure=("loss", name))
    rest = [name for name, each in MEASUREMENTS.items() if each.any_loss]
    assert GradientDescent(steps=3, loss="logistic", measure=rest).unpredicted
    assert not GradientDescent(steps=3).unpredicted
