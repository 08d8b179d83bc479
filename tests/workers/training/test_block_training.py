"""Training: every measured number against a second, slow route; bits against grouping; who leaves a batch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import xarray as xr

from tests.tolerances import EXACT, FLOAT32
from tests.workers import reference
from tests.workers.blocks import assert_same_bits, block, sphere, start_parameters
from widesweep.workers.networks import FullyConnected, RandomFeatures, ResNet, TwoLayer
from widesweep.workers.networks.network import Leaky, Network
from widesweep.workers.optimizers import GradientDescent
from widesweep.workers.training.block_training import run
from widesweep.workers.variable import DIVERGED, DONE

LEAKY = Leaky(leaky=(0.3, 1.2))

NETWORKS = [
    *(FullyConnected(activation=a, weight_variance=1.7, bias_variance=0.3) for a in ("relu", "tanh", "gelu")),
    *(FullyConnected(activation=a, weight_variance=1.7) for a in ("linear", "erf", LEAKY)),
    *(
        FullyConnected(parameterization=p, weight_variance=1.7, bias_variance=0.3, trains=t)
        for p, t in itertools.product(("standard", "mup"), ("all", "hidden", "last"))
    ),
    FullyConnected(parameterization="du", activation="tanh"),
    FullyConnected(parameterization="du", trains="hidden"),
    FullyConnected(weight_variance=2.0, output_scale=3.0, centered=True),
    RandomFeatures(activation="tanh", output_scale=2.0),
    RandomFeatures(centered=True),
    *(ResNet(activation=a, residual_scale=1.5) for a in ("relu", "tanh", "gelu", LEAKY)),
    *(ResNet(trains=t) for t in ("hidden", "last")),
    *(TwoLayer(trains=t, parameterization=p) for t in ("all", "hidden", "last") for p in ("ntk", "mup")),
]


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    "network",
    NETWORKS,
    ids=lambda n: f"{n.kind}-{n.activation}-{getattr(n, 'parameterization', '')}-{n.trains}",
)
def test_every_variable_equals_brute_force_at_tiny_width(network: Network, outputs: int) -> None:
    """Kernel by explicit Jacobian, gradient by autograd, norms by SVD, on every step; K = 1 and 3.

    All cells of a batch for the first network, the last cell for the others.
    """
    data = sphere(outputs=outputs)
    depth = 1 if network.allowed_depths() else 3 if network.kind == "resnet" else 2
    few = {"seeds": (3,), "learning_rates": (0.03,), "learning_rates_absolute": (0.03,)}
    b = block(network, depth=depth, **(few if outputs > 1 else {}))
    measured = run(b, data)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y.ravel())
    cells = list(itertools.product(b.seeds, b.learning_rates))
    for seed, rate in cells if network is NETWORKS[0] else cells[-1:]:
        start = start_parameters(b, seed, 4, outputs)
        expected = reference.train(network, b.width, b.depth, start, x, y, rate, 6)
        cell = measured.sel(seed=seed, learning_rate=rate)
        for name, values in expected.items():
            np.testing.assert_allclose(
                cell[name], values, rtol=EXACT, atol=EXACT, err_msg=f"{name} seed {seed}"
            )


def test_a_wrong_scale_is_seen_by_the_brute_force() -> None:
    """Negative control: the same check with the output's 1/√m dropped to 1/m must fail."""
    data, right, wrong = sphere(), FullyConnected(), FullyConnected(parameterization="mup")
    b = block(right)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    expected = reference.train(wrong, b.width, b.depth, start_parameters(b, 0, 4), x, y, 0.1, 6)
    cell = run(b, data).sel(seed=0, learning_rate=0.1)
    assert not np.allclose(cell["ntk_min_eigenvalue"], expected["ntk_min_eigenvalue"], rtol=1e-2)


@pytest.mark.parametrize(
    ("width", "samples", "activation"), [(72, 24, "relu"), (67, 9, "tanh"), (96, 13, "gelu")]
)
def test_bits_do_not_depend_on_grouping_or_threads(width: int, samples: int, activation: str) -> None:
    """One batch, single cells, and two threads give the same bits, at odd sizes too."""
    data = sphere(samples, 11)
    network = FullyConnected(activation=activation, bias_variance=0.1)
    whole = run(block(network, width, 3, seeds=(0, 1, 2)), data)
    cells = itertools.product((0, 1, 2), (0.05, 0.1))
    one = [{"seeds": (s,), "learning_rates": (r,), "learning_rates_absolute": (r,)} for s, r in cells]
    alone = [run(block(network, width, 3, **coordinates), data) for coordinates in one]
    assert_same_bits(whole, xr.combine_by_coords(alone, combine_attrs="drop"))
    assert_same_bits(whole, run(block(network, width, 3, seeds=(0, 1, 2), threads=2), data))
    assert_same_bits(whole, run(block(network, width, 3, seeds=(0, 1, 2), memory_bytes=1), data))


def test_a_rate_past_the_edge_diverges_and_leaves_the_others_alone() -> None:
    """The diverged cell is NaN from there on; its neighbour's bits are those of a run without it."""
    data, network = sphere(), FullyConnected(activation="linear")
    training = GradientDescent(steps=300, records=40)
    rates = {"learning_rates": (0.05, 5.0), "learning_rates_absolute": (0.05, 5.0)}
    both = run(block(network, training=training, **rates), data)
    assert (both.status.sel(learning_rate=5.0) == DIVERGED).all()
    assert both.loss.sel(learning_rate=5.0).isel(step=0).notnull().all()
    assert both.loss.sel(learning_rate=5.0).isel(step=-1).isnull().all()
    assert (both.status.sel(learning_rate=0.05) == DONE).all()
    alone = run(
        block(network, training=training, learning_rates=(0.05,), learning_rates_absolute=(0.05,)), data
    )
    assert_same_bits(both.sel(learning_rate=[0.05]), alone)


def test_a_converged_cell_repeats_its_last_record() -> None:
    """Past the rounding floor nothing is computed: the records stand still, and the status is done."""
    data = sphere(3, 4)
    training = GradientDescent(steps=20_000, records=60)
    rate = {"learning_rates": (0.2,), "learning_rates_absolute": (0.2,)}
    result = run(block(FullyConnected(), 32, 1, training=training, **rate), data)
    relative = result.residual_norm / result.residual_norm.isel(step=0)
    assert (result.status == DONE).all()
    assert (relative.isel(step=-1) <= training.rounding_floor).all()
    np.testing.assert_array_equal(result.loss.isel(step=-1), result.loss.isel(step=-2))


def test_learning_rates_of_a_seed_share_their_start() -> None:
    """Cells that differ in η alone begin with the same network, so that they compare in pairs."""
    result = run(block(FullyConnected(), 16, 2), sphere())
    first = result.loss.isel(step=0)
    assert (first.isel(learning_rate=0) == first.isel(learning_rate=1)).all()
    assert (first.isel(seed=0) != first.isel(seed=1)).all()


def test_float32_follows_float64_before_rounding_rules() -> None:
    """Single precision agrees with double to its tier on an early trajectory."""
    data, network = sphere(), FullyConnected(activation="tanh")
    double = run(block(network, 64), data)
    single = run(block(network, 64, training=GradientDescent(steps=6, records=7, dtype="float32")), data)
    for name in ("loss", "ntk_max_eigenvalue", "ntk_min_eigenvalue"):
        np.testing.assert_allclose(single[name], double[name], rtol=FLOAT32)


@pytest.mark.parametrize("outputs", [1, 3])
def test_one_neuron_in_every_layer_is_a_network_too(outputs: int) -> None:
    """Every product has a single column: the same brute force at width 1."""
    network = FullyConnected(activation="tanh", weight_variance=1.7, bias_variance=0.3)
    data = sphere(outputs=outputs)
    rate = {"learning_rates": (0.03,), "learning_rates_absolute": (0.03,), "seeds": (3,)}
    b = block(network, 1, 3, **rate)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y.ravel())
    expected = reference.train(network, 1, 3, start_parameters(b, 3, 4, outputs), x, y, 0.03, 6)
    measured = run(b, data).squeeze()
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name], values, rtol=EXACT, atol=EXACT, err_msg=name)
