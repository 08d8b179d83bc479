"""Optimisers: every path against a second route, bits against grouping, and what theory says of each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.tolerances import EXACT, MONTE_CARLO_SE
from tests.workers import reference_optimizers as second
from tests.workers.blocks import assert_same_bits, block, sphere, start_parameters
from widesweep.theory.linearised import optimizers as theory
from widesweep.theory.linearised.dynamics import mean_initial_power, residual_norm
from widesweep.theory.spectrum import decomposition
from widesweep.workers.networks import FullyConnected, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import (
    GradientDescent,
    GradientFlow,
    Langevin,
    Nesterov,
    StochasticGradientDescent,
    Training,
)
from widesweep.workers.training.block_training import TrainingBlock, run

STEPS = 9
EVERY = {"steps": STEPS, "records": STEPS + 1}
SMOOTH = FullyConnected(activation="tanh", weight_variance=1.7, bias_variance=0.3)
RELU = FullyConnected(weight_variance=1.7, trains="hidden", output_scale=2.0, centered=True)
PATHS: list[tuple[Training, second.Path]] = [
    (GradientDescent(**EVERY), lambda m, eta, key: second.descent(m, eta)),
    (Nesterov(**EVERY, momentum=0.7), lambda m, eta, key: second.nesterov(m, eta, 0.7)),
    (Nesterov(**EVERY), lambda m, eta, key: second.nesterov(m, eta, _optimal(m, eta))),
    (
        StochasticGradientDescent(**EVERY, batch_size=2),
        lambda m, eta, key: second.mini_batches(m, eta, 2, key),
    ),
    (Langevin(**EVERY, temperature=0.02), lambda m, eta, key: second.langevin(m, eta, 0.02, key)),
    (GradientFlow(**EVERY, tolerance=1e-12), lambda m, eta, key: second.flow(m, eta, STEPS)),
]
NAMES = [training.optimizer for training, _ in PATHS]


def _optimal(model: second.Model, eta: float) -> float:
    root = np.sqrt(eta * np.linalg.eigvalsh(model.kernel())[0])
    return (1 - root) / (1 + root)


def model_of(b: TrainingBlock, seed: int, outputs: int = 1) -> second.Model:
    data = sphere(outputs=outputs)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y.ravel())
    return second.Model(b.network, b.width, b.depth, start_parameters(b, seed, 4, outputs), x, y)


CASES = [(SMOOTH, *each) for each in PATHS] + [(RELU, *each) for each in PATHS[:-1]]  # a kink bounds the flow


@pytest.mark.parametrize(
    ("network", "training", "path"), CASES, ids=lambda each: getattr(each, "optimizer", "")
)
def test_every_path_equals_autograd_on_one_flat_vector(
    network: Network, training: Training, path: second.Path
) -> None:
    """Residual norms of two seeds and two learning rates over nine steps, five points, batches of two."""
    b = block(network, training=training)
    measured = run(b, sphere()).residual_norm
    for seed, rate in itertools.product(b.seeds, b.learning_rates):
        model = model_of(b, seed)
        expected = second.residual_norms(model, path(model, rate, (0, b.width, b.depth, seed)), STEPS)
        cell = measured.sel(seed=seed, learning_rate=rate)
        np.testing.assert_allclose(cell, expected, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(("training", "path"), PATHS, ids=NAMES)
def test_every_path_with_three_outputs_equals_autograd(training: Training, path: second.Path) -> None:
    """One seed and rate, by descent of a centred model too: mini-batches are of samples, not of outputs."""
    network = RELU if training.optimizer in ("gd", "sgd", "langevin") else SMOOTH
    rate = {"learning_rates": (0.03,), "learning_rates_absolute": (0.03,)}
    b = block(network, training=training, seeds=(3,), **rate)
    model = model_of(b, 3, outputs=3)
    expected = second.residual_norms(model, path(model, 0.03, (0, b.width, b.depth, 3)), STEPS)
    measured = run(b, sphere(outputs=3)).residual_norm.squeeze()
    np.testing.assert_allclose(measured, expected, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(
    ("training", "path"),
    [
        (
            StochasticGradientDescent(**EVERY, batch_size=2),
            lambda m, e, k: second.mini_batches(m, e / 2.5, 2, k),
        ),
        (Langevin(**EVERY, temperature=0.02), lambda m, e, k: second.langevin(m, e, 0.04, k)),
        (Nesterov(**EVERY, momentum=0.7), lambda m, e, k: second.nesterov(m, e, 0.0)),
        (GradientFlow(**EVERY), lambda m, e, k: second.descent(m, e)),
    ],
    ids=["sum-without-n-over-b", "twice-the-temperature", "no-momentum", "descent-for-flow"],
)
def test_a_wrong_convention_is_seen(training: Training, path: second.Path) -> None:
    """Negative controls: a dropped factor n/|B|, another temperature, no momentum, steps for the flow."""
    b = block(SMOOTH, training=training)
    model = model_of(b, 0)
    expected = second.residual_norms(model, path(model, 0.1, (0, b.width, b.depth, 0)), STEPS)
    assert not np.allclose(run(b, sphere()).residual_norm.sel(seed=0, learning_rate=0.1), expected, rtol=1e-4)


@pytest.mark.parametrize("training", [*(t for t, _ in PATHS[1:5]), GradientFlow(**EVERY)], ids=NAMES[1:])
def test_bits_do_not_depend_on_grouping(training: Training) -> None:
    """Cells alone, and cells beside one that diverges and leaves, have the bits of the whole batch."""
    data = sphere(9, 5)
    whole = run(block(SMOOTH, 13, 2, training=training, seeds=(0, 1, 2)), data)
    for seed, rate in ((0, 0.05), (2, 0.1)):
        rates = {"learning_rates": (rate,), "learning_rates_absolute": (rate,)}
        alone = run(block(SMOOTH, 13, 2, training=training, seeds=(seed,), **rates), data)
        assert_same_bits(whole.sel(seed=[seed], learning_rate=[rate]), alone)


@pytest.mark.parametrize("training", [training for training, _ in PATHS[1:5]], ids=NAMES[1:5])
def test_a_cell_that_diverges_leaves_its_neighbour_alone(training: Training) -> None:
    """The batch shrinks in the middle of the run; momentum, batches and noise shrink with it."""
    longer = training.model_copy(update={"steps": 100, "records": 101})
    linear = FullyConnected(activation="linear")
    rates = {"learning_rates": (50.0, 0.02), "learning_rates_absolute": (50.0, 0.02)}
    both = run(block(linear, training=longer, **rates), sphere())
    alone = run(
        block(linear, training=longer, learning_rates=(0.02,), learning_rates_absolute=(0.02,)), sphere()
    )
    assert (both.status.sel(learning_rate=50.0) == 2).all()
    assert_same_bits(both.sel(learning_rate=[0.02]), alone)


def test_flow_converges_to_the_floor_and_its_steps_follow_the_tolerance() -> None:
    """The flow of a linear model is e^{−tG}: error near the tolerance asked for, down to the floor."""
    data, last = sphere(3, 4), TwoLayer(trains="last", activation="tanh")
    for tolerance in (1e-4, 1e-9):
        flow = GradientFlow(steps=3000, records=50, tolerance=tolerance)
        result = run(block(last, 32, 1, training=flow, seeds=(0,)), data).sel(seed=0, learning_rate=0.1)
        b = block(last, 32, 1)
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        model = second.Model(last, 32, 1, start_parameters(b, 0, 4), x, y)
        exact = theory.gradient_flow_residual_norm(
            model.kernel(), model.residual(model.start), 0.1 * np.array(flow.recorded_steps())
        )
        seen = exact > 1e-10 * exact[0]
        np.testing.assert_allclose(result.residual_norm[seen], exact[seen], rtol=300 * tolerance)


LINEAR_REGIME = [
    (GradientDescent(steps=60, records=61), residual_norm),
    (
        GradientFlow(steps=60, records=61),
        lambda g, r, eta, k: theory.gradient_flow_residual_norm(g, r, eta * k),
    ),
    (
        Nesterov(steps=60, records=61, momentum=0.5),
        lambda g, r, eta, k: theory.nesterov_residual_norm(g, r, eta, 0.5, k),
    ),
]


@pytest.mark.parametrize(("training", "predicted"), LINEAR_REGIME, ids=["gd", "flow", "nesterov"])
def test_a_linear_model_follows_theory(training: Training, predicted: object) -> None:
    """Random features are linear in what trains: modes, rates and norms are theory's at every step."""
    last, steps = FullyConnected(trains="last", weight_variance=2.0), np.arange(61)
    b = block(last, 32, 1, training=training)
    model = model_of(b, 3)
    kernel, start = model.kernel(), model.residual(model.start)
    measured = run(b, sphere()).residual_norm.sel(seed=3, learning_rate=0.1)
    np.testing.assert_allclose(measured, predicted(kernel, start, 0.1, steps), rtol=1e-7)
    eigenvalues, vectors = np.linalg.eigh(kernel)
    modes = training.mode_factors(eigenvalues, 0.1, steps) * (vectors.T @ start)
    np.testing.assert_allclose(measured, np.linalg.norm(modes, axis=1), rtol=1e-7)
    late = np.linalg.norm(training.mode_factors(eigenvalues, 0.1, [900, 1000]), axis=1)
    rate = np.log(late[0] / late[1]) / 100
    assert rate == pytest.approx(training.rate_per_step(eigenvalues, 0.1), rel=0.02)


def test_langevin_keeps_the_temperature_in_every_mode() -> None:
    """Mean of ‖r‖² over 200 noises at 5 standard errors; half the temperature must fail."""
    last, seeds = FullyConnected(trains="last", weight_variance=2.0), tuple(range(200))
    training = Langevin(steps=40, records=2, temperature=0.3)
    b = block(last, 32, 1, training=training, seeds=seeds)
    squared = 2 * run(b, sphere()).loss.sel(learning_rate=0.1).isel(step=-1).values
    expected, cooler = [], []
    data = sphere()
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for seed in seeds:
        model = second.Model(last, 32, 1, start_parameters(b, seed, 4), x, y)
        kernel, start = model.kernel(), model.residual(model.start)
        eigenvalues, vectors = np.linalg.eigh(kernel)
        decayed = (training.mode_factors(eigenvalues, 0.1, [40]) * (vectors.T @ start)) ** 2
        noise = training.floor(eigenvalues, 0.1, [40])
        expected.append(float(decayed.sum() + noise[0]))
        cooler.append(float(decayed.sum() + noise[0] / 2))
        assert expected[-1] == pytest.approx(
            theory.langevin_mean_square_residual(kernel, start, 0.1, 0.3, [40])[0]
        )
    difference = squared - np.array(expected)
    error = difference.std(ddof=1) / np.sqrt(len(seeds))
    assert abs(difference.mean()) <= MONTE_CARLO_SE * error
    assert abs((squared - np.array(cooler)).mean()) > MONTE_CARLO_SE * error


def test_an_epoch_of_mini_batches_holds_every_point_once() -> None:
    """With η small one epoch is ⌈n/b⌉ steps of descent: without replacement the batches' sum is the whole."""
    eta, data = 1e-7, sphere(6, 4)
    rates = {"learning_rates": (eta,), "learning_rates_absolute": (eta,)}
    small = StochasticGradientDescent(steps=3, records=4, batch_size=2)
    full = run(block(SMOOTH, training=GradientDescent(steps=3, records=4), **rates), data)
    batches = run(block(SMOOTH, training=small, **rates), data)
    moved = batches.loss.isel(step=[0, -1]).diff("step") / full.loss.isel(step=[0, -1]).diff("step")
    np.testing.assert_allclose(moved, 1.0, rtol=1e-5)


@pytest.mark.parametrize("training", [training for training, _ in PATHS], ids=NAMES)
def test_the_predicted_norm_of_three_outputs_is_that_of_three_single_ones(training: Training) -> None:
    """Root of the sum of squares, the optimiser's noise in each of them."""
    random = np.random.default_rng(2)
    root, targets = random.standard_normal((5, 7)) / 4, random.standard_normal((5, 3))
    spectrum, steps = decomposition(root @ root.T), [0, 4, 9]

    def norms(y: np.ndarray, outputs: int) -> np.ndarray:
        power = mean_initial_power(spectrum, np.eye(5), y)
        return training.mean_residual_norm(spectrum.eigenvalues, power, 0.1, steps, outputs)

    together, single = norms(targets, 3), [norms(targets[:, a], 1) for a in range(3)]
    np.testing.assert_allclose(together, np.sqrt(np.square(single).sum(0)), rtol=EXACT)


def test_no_residual_is_predicted_of_mini_batches() -> None:
    """The mean over batches lacks their noise; one batch of all points is gradient descent (control)."""
    eigenvalues, power, steps = np.array([1.0, 2.0, 3.0]), np.ones(3), np.arange(4)
    small, whole = (StochasticGradientDescent(steps=3, batch_size=size) for size in (2, 3))
    assert np.isnan(small.mean_residual_norm(eigenvalues, power, 0.1, steps)).all()
    descent = GradientDescent(steps=3).mean_residual_norm(eigenvalues, power, 0.1, steps)
    assert np.array_equal(whole.mean_residual_norm(eigenvalues, power, 0.1, steps), descent)


def test_the_optimal_momentum_decays_at_its_known_rate() -> None:
    """Its two roots at λ_min are one, 1 − √(ηλ_min): the rate has all digits, not half of them."""
    eigenvalues = np.array([0.1, 0.7, 1.9])
    for eta in (0.1, 0.37, 0.5):
        rate = Nesterov(steps=3).rate_per_step(eigenvalues, eta)
        assert rate == pytest.approx(-np.log1p(-np.sqrt(eta * 0.1)), rel=EXACT)
