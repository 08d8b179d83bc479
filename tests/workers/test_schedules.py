"""Schedules, clipping, rates by layer and early ends: each against a loop of torch's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.workers.blocks import block, sphere
from tests.workers.test_losses import RATE, cells, start
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import Adam, GradientDescent, GradientFlow, Momentum, Nesterov
from widesweep.workers.optimizers.rate_scale import mup_scale
from widesweep.workers.optimizers.schedule import Schedule
from widesweep.workers.training.block_training import run

STEPS = 12
EVERY: dict[str, Any] = {"steps": STEPS, "records": 5, "measure": ("loss", "kernel")}
SCHEDULES: dict[str, tuple[Schedule, Callable[[int], float]]] = {
    "warm-up": (Schedule(warmup=4), lambda k: min(1.0, (k + 1) / 4)),
    "cosine": (Schedule(cosine=0.1), lambda k: 0.1 + 0.45 * (1 + math.cos(math.pi * k / (STEPS - 1)))),
    "pieces": (Schedule(pieces=((3, 0.5), (7, 0.1))), lambda k: 1.0 if k < 3 else 0.5 if k < 7 else 0.1),
}


def loop(
    kind: Any, factor: Callable[[int], float], clip: float = math.inf, scales: tuple[float, ...] = (1, 1, 1),
    **options: Any,
) -> np.ndarray:  # fmt: skip
    """Losses at every step of a loop of torch's own optimiser and clipping."""
    leaves, f = start(FullyConnected(), 1)
    groups = [{"params": [leaf], "scale": scale} for leaf, scale in zip(leaves, scales, strict=True)]
    optimizer = kind(groups, lr=RATE, **options)
    data, losses = sphere(), []
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)[:, None]
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        value = 0.5 * (f(x) - y).square().sum()
        losses.append(float(value.detach()))
        value.backward()
        if clip < math.inf:
            torch.nn.utils.clip_grad_norm_(leaves, clip)
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor(step) * group["scale"]
        optimizer.step()
    return np.array(losses)


def losses(training: Any) -> tuple[np.ndarray, list[int]]:
    return cells(FullyConnected(), training, sphere()).loss.values[0, 0], list(training.recorded_steps())


@pytest.mark.parametrize(("schedule", "factor"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_moves_every_optimiser_as_torch_does(
    schedule: Schedule, factor: Callable[[int], float]
) -> None:
    """Plain descent, nesterov and Adam; a constant rate is another path (control)."""
    for training, kind, options in (
        (GradientDescent(schedule=schedule, **EVERY), torch.optim.SGD, {}),
        (Adam(schedule=schedule, **EVERY), torch.optim.Adam, {}),
    ):
        found, steps = losses(training)
        np.testing.assert_allclose(found, loop(kind, factor, **options)[steps], rtol=1e-10)
        assert not np.allclose(found, loop(kind, lambda k: 1.0, **options)[steps], rtol=1e-3)
        assert "schedule" in training.unpredicted
    scheduled = losses(Nesterov(momentum=0.0, schedule=schedule, **EVERY))[0]
    np.testing.assert_allclose(scheduled, losses(GradientDescent(schedule=schedule, **EVERY))[0], rtol=1e-10)


def test_clipping_is_that_of_torch() -> None:
    """The norm over all layers of a cell; a bound that is never met changes nothing."""
    found, steps = losses(Momentum(momentum=0.5, clip_norm=0.3, **EVERY))
    np.testing.assert_allclose(
        found, loop(torch.optim.SGD, lambda k: 1.0, clip=0.3, momentum=0.5)[steps], rtol=1e-5
    )  # torch adds 1e-6 to the norm
    free = losses(Momentum(momentum=0.5, **EVERY))[0]
    np.testing.assert_array_equal(losses(Momentum(momentum=0.5, clip_norm=1e9, **EVERY))[0], free)
    assert not np.allclose(found, free, rtol=1e-2)


def test_layers_have_rates_of_their_own() -> None:
    """First, hidden and output by number or power of the width, six neurons here."""
    scale = {"first": 0.5, "hidden": "width^-1/2", "output": "width^-1"}
    found, steps = losses(Adam(learning_rate_scale=scale, **EVERY))
    expected = loop(torch.optim.Adam, lambda k: 1.0, scales=(0.5, 6**-0.5, 1 / 6))
    np.testing.assert_allclose(found, expected[steps], rtol=1e-10)
    with pytest.raises(ValueError, match="width"):
        Adam(learning_rate_scale={"output": "2/width"}, **EVERY)


def test_adams_table_of_mup_moves_every_layer_alike_at_every_width() -> None:
    """Pre-activations after three steps at widths 32 to 512: no power of the width beyond 0.1.

    Negative controls: no table moves hidden layers by a power of about ½, and the table under `ntk` moves
    the output so; there it is refused.
    """
    table = {"hidden": "width^-1/2"}
    slopes = [_slopes("mup", "mup"), _slopes("mup", None), _slopes("ntk", {**table, "output": "width^-1/2"})]
    assert np.abs(slopes[0]).max() < 0.1
    assert slopes[1][1:3].min() > 0.35
    assert slopes[2][3] > 0.35
    with pytest.raises(ValueError, match="starts otherwise"):
        mup_scale(FullyConnected(parameterization="ntk"))


def _slopes(parameterization: str, scale: Any) -> np.ndarray:
    """Exponents of each layer's change."""
    training = Adam(steps=3, records=2, measure=("coordinates",), learning_rate_scale=scale, epsilon=1e-12)
    network = FullyConnected(activation="tanh", parameterization=parameterization, weight_variance=1.5)
    rates = {"learning_rates": (0.01,), "learning_rates_absolute": (0.01,), "seeds": (0, 1, 2, 3)}
    changes = [
        run(block(network, width, 3, training=training, **rates), sphere(8, 6))
        .pre_activation_change.values[:, 0, -1]
        .mean(0)
        for width in (32, 128, 512)
    ]
    return np.polyfit(np.log([32, 128, 512]), np.log(changes), 1)[0]


def test_an_early_end_repeats_its_record_and_has_its_step() -> None:
    """From the first record at which the loss is small enough on; others go on as without it."""
    plain = GradientDescent(steps=200, records=30, measure=("loss",))
    free = cells(FullyConnected(), plain, sphere()).loss.values[0, 0]
    until = {"loss": float(free[12])}
    found = cells(FullyConnected(), plain.model_copy(update={"until": plain_until(until)}), sphere())
    np.testing.assert_array_equal(found.loss.values[0, 0, :13], free[:13])
    assert (found.loss.values[0, 0, 12:] == free[12]).all()
    assert found.stopped_at.values[0, 0] == plain.recorded_steps()[12]
    never = cells(
        FullyConnected(), plain.model_copy(update={"until": plain_until({"loss": 1e-300})}), sphere()
    )
    assert never.stopped_at.values[0, 0] == 200


def plain_until(content: dict[str, float]) -> Any:
    return GradientDescent(steps=1, until=content).until


def test_a_flow_has_no_schedule() -> None:
    with pytest.raises(ValueError, match="gradient_flow"):
        GradientFlow(steps=3, schedule=Schedule(warmup=2))
