"""Momentum, Adam, AdamW and rules of one's own, each against a loop of torch's own optimisers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.workers import my_modules
from tests.workers.test_module import block, data, module
from widesweep.theory.registry import PlugInError
from widesweep.workers.networks import FullyConnected, RandomFeatures
from widesweep.workers.optimizers import Adam, AdamW, CustomOptimizer, GradientDescent, Momentum, Training
from widesweep.workers.optimizers.custom_optimizer import OPTIMIZERS
from widesweep.workers.training.block_training import run

ETA, STEPS = 0.02, 9
SHARED: dict[str, Any] = {"steps": STEPS, "records": STEPS + 1, "measure": ("loss", "kernel")}
FAST: dict[str, Any] = {"betas": (0.8, 0.95)}
PAIRS = {
    "momentum": (Momentum(momentum=0.8, **SHARED), torch.optim.SGD, {"momentum": 0.8}),
    "adam": (Adam(epsilon=1e-6, **FAST, **SHARED), torch.optim.Adam, {**FAST, "eps": 1e-6}),
    "adamw": (AdamW(weight_decay=0.3, **SHARED), torch.optim.AdamW, {"weight_decay": 0.3}),
}


def cells(network: Any, training: Training, outputs: int = 1, **changes: Any) -> Any:
    made = block(network, training, **changes)
    return run(type(made)(**{**vars(made), "learning_rates_absolute": (ETA,)}), data(outputs))


def loop(kind: Any, options: dict[str, Any], outputs: int) -> list[float]:
    """Losses of a plain loop."""
    made = my_modules.plain(10, 2, 4, outputs, seed=3)
    optimizer = kind(made.parameters(), lr=ETA, **options)
    points = data(outputs)
    x, y = torch.from_numpy(points.x), torch.from_numpy(points.y).reshape(6, outputs)
    losses = []
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        loss = 0.5 * (made(x) - y).square().sum()
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
    return losses


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("network", [FullyConnected(), module("plain", seed=3)], ids=["built-in", "module"])
@pytest.mark.parametrize(("training", "kind", "options"), PAIRS.values(), ids=PAIRS)
def test_losses_are_those_of_torchs_own_optimisers(
    training: Training, kind: Any, options: dict[str, Any], network: Any, outputs: int
) -> None:
    """To 1e-10, on the compiled engine's network and on a module."""
    found = cells(network, training, outputs)["loss"][0, 0]
    np.testing.assert_allclose(found, loop(kind, options, outputs), rtol=1e-10)
    assert not np.allclose(found, cells(network, GradientDescent(**SHARED), outputs)["loss"][0, 0])


@pytest.mark.parametrize("training", [pair[0] for pair in PAIRS.values()], ids=PAIRS)
def test_a_cells_bits_do_not_depend_on_its_company(training: Training) -> None:
    """Alone or with others, where some of them diverge."""
    together = cells(FullyConnected(), training, seeds=(1, 3, 5))
    alone = cells(FullyConnected(), training, seeds=(3,))
    for variable in ("loss", "ntk_min_eigenvalue"):
        np.testing.assert_array_equal(alone[variable][0], together[variable][1])


def test_momentum_is_exact_where_the_model_is_linear() -> None:
    """Random features: r(k) = p_k(G) r(0) with the polynomials of the heavy ball, to 1e-10."""
    training = Momentum(momentum=0.7, **{**SHARED, "measure": ("loss", "linearized")})
    made = block(RandomFeatures(), training)
    points = data()
    found = run(type(made)(**{**vars(made), "depth": 1}), points)
    assert float(found["linearized_distance"].max()) < 1e-9 * float(found["residual_norm"][0, 0, 0])


def test_a_rule_of_ones_own_is_what_it_says() -> None:
    """One that writes out gradient descent has its losses; one of signs has arrays of its own."""
    own = CustomOptimizer(optimizer="tests.workers.my_rules:Plain", **SHARED)
    np.testing.assert_allclose(
        cells(FullyConnected(), own)["loss"],
        cells(FullyConnected(), GradientDescent(**SHARED))["loss"],
        rtol=1e-12,
    )
    lion = CustomOptimizer(optimizer="tests.workers.my_rules:Lion", options={"beta_2": 0.9}, **SHARED)
    assert lion.parameter_arrays == 2
    assert np.isfinite(cells(FullyConnected(), lion)["loss"]).all()


@pytest.mark.parametrize(
    ("name", "told"), [("NoUpdate", "no update"), ("FewArguments", "are wanted"), ("Absent", "no attribute")]
)
def test_what_is_no_rule_is_refused(name: str, told: str) -> None:
    with pytest.raises(PlugInError, match=told):
        OPTIMIZERS.get(f"tests.workers.my_rules:{name}")


def test_what_is_not_linear_has_no_linearised_model() -> None:
    """Adam says so for the config; momentum, which is linear, does not."""
    with pytest.raises(ValueError, match="an update by adam is not linear"):
        Adam(steps=3, measure=("loss", "linearized"))
    assert Momentum(steps=3, measure=("loss", "linearized")).measure
    assert np.isnan(Adam(steps=3).rate_per_step(np.ones(2), 0.1))
