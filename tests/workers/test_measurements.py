"""Chosen measurements: each against explicit Jacobians, none with a say in the cell's other numbers."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from tests.tolerances import EXACT
from tests.workers import reference_measurements, reference_optimizers
from tests.workers.blocks import assert_same_bits, block, sphere, start_parameters
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.infinite_width.resnet import resnet_kernels
from widesweep.workers.measurements import DEFAULT, MEASUREMENTS, TRAINING_VARIABLES, training_variables
from widesweep.workers.networks import FullyConnected, RandomFeatures, ResNet, TwoLayer
from widesweep.workers.networks.network import Network
from widesweep.workers.optimizers import GradientDescent, GradientFlow, Nesterov
from widesweep.workers.training.block_training import TrainingBlock, run

STEPS, CUTOFF = 5, 0.3
EVERYTHING = GradientDescent(
    steps=STEPS, records=STEPS + 1, measure=tuple(MEASUREMENTS), information_cutoff=CUTOFF
)
BY_DIFFERENCES = 1e-7  # what central differences of gradients leave of a Hessian
ZERO = 1e-4  # in units of the labels: 1e-10 of it is what rounding leaves of differences of outputs
DATA = sphere(test_samples=3)
NEW = {v.name for v in training_variables(tuple(MEASUREMENTS))} - {v.name for v in TRAINING_VARIABLES}
NETWORKS = [
    FullyConnected(activation="tanh", weight_variance=1.7, bias_variance=0.3),
    FullyConnected(weight_variance=2.0, output_scale=2.0, centered=True),
    FullyConnected(activation="gelu", weight_variance=1.7, trains="hidden"),
    FullyConnected(parameterization="du", activation="tanh"),
    FullyConnected(activation="tanh", weight_variance=1.7, trains="last"),
    TwoLayer(trains="hidden"),
    RandomFeatures(activation="erf"),
    ResNet(activation="tanh"),
]
NAMES = [f"{n.kind}-{n.activation}-{n.trains}" for n in NETWORKS]


@functools.cache
def du_limit(network: Network, depth: int) -> float:
    """λ0 through `theory` alone: the last hidden layer's part, α² in front."""
    gram = DATA.x @ DATA.x.T
    if isinstance(network, ResNet):
        part = resnet_kernels(gram, depth, network.activation_object()).layer_ntk[depth - 1]
        return float(np.linalg.eigvalsh(part)[0])
    first, others = network.variances() if isinstance(network, FullyConnected) else (1.0, 1.0)
    kernels = fully_connected_kernels(
        gram,
        depth,
        network.activation_object(),
        weight_variance=others,
        bias_variance=getattr(network, "bias_variance", 0.0),
        first_weight_variance=first,
    )
    return float(network.output_scale**2 * np.linalg.eigvalsh(kernels.layer_ntk[depth - 1])[0])


@pytest.mark.parametrize("outputs", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("network", NETWORKS, ids=NAMES)
def test_every_chosen_measurement_equals_brute_force(network: Network, outputs: int) -> None:
    """Jacobians by autograd, dense eigenvectors, the linearised model trained in a loop; all steps.

    All cells of a batch for the first network, the last cell for the others.
    """
    b, measured = measured_block(network, outputs)
    cells = list(itertools.product(b.seeds, b.learning_rates))
    for seed, rate in cells if network is NETWORKS[0] else cells[-1:]:
        expected = second_route(b, seed, rate, outputs)
        assert not disagreeing(measured.sel(seed=seed, learning_rate=rate), expected)


def test_a_wrong_learning_rate_is_seen_in_every_measurement_of_the_path() -> None:
    """Negative control: against a path of 1.0001 times the learning rate all that moves disagrees."""
    b, measured = measured_block(NETWORKS[0], 3)
    wrong = disagreeing(measured.isel(seed=0, learning_rate=0), second_route(b, 0, 0.05 * 1.0001, 3))
    conditions = {v.name for v in MEASUREMENTS["du_conditions"].variables}
    counts = {"information_rank", "accuracy", "test_accuracy"}
    assert wrong == NEW - conditions - counts - {
        f"label_{space}_norm" for space in ("information", "nuisance")
    }


def measured_block(network: Network, outputs: int) -> tuple[TrainingBlock, xr.Dataset]:
    """A small block and what is measured on it; one seed and learning rate where there are many outputs."""
    few = {"seeds": (0,), "learning_rates": (0.05,), "learning_rates_absolute": (0.05,)}
    changes = few if outputs > 1 else {}
    depth = 1 if network.allowed_depths() else 2
    b = block(network, 7, depth, training=EVERYTHING, **changes)
    return b, run(b, sphere(outputs=outputs, test_samples=3))


def second_route(b: TrainingBlock, seed: int, rate: float, outputs: int) -> dict[str, np.ndarray]:
    """Every chosen measurement of one cell at all steps, the first axis."""
    data = sphere(outputs=outputs, test_samples=3)
    start = start_parameters(b, seed, 4, outputs)
    points = reference_measurements.Points(b.network, 7, b.depth, start, data)
    limit = du_limit(b.network, b.depth)
    path = reference_optimizers.descent(points.train, rate)
    rows = [
        reference_measurements.measure(points, next(path), rate, step, CUTOFF, limit)
        for step in range(STEPS + 1)
    ]
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}


def disagreeing(cell: xr.Dataset, expected: dict[str, np.ndarray]) -> set[str]:
    """Measurements that differ by more than 1e-10 of their largest entry, or of what rounds to zero.

    An eigenvector is known to the machine's epsilon over the gap to its neighbour, and not at all within a
    repeated eigenvalue: of modes whose eigenvalues nearly meet the norm together is compared.
    """
    spectra = expected["ntk_eigenvalue"]
    groups = {
        "residual_mode": [groups_of(spectra[0])] * len(spectra),
        "residual_mode_current": [groups_of(each) for each in spectra],
    }
    wrong = set()
    for name, wanted in expected.items():
        found = np.asarray(cell[name].transpose("step", ...), dtype=float)
        if name in groups:
            found, wanted = (together(each, groups[name]) for each in (found, wanted))
        scale = np.nanmax(np.abs(wanted), initial=ZERO)
        tolerance = BY_DIFFERENCES if name == "sharpness" else EXACT
        close = np.isclose(found, wanted, rtol=0.0, atol=tolerance * scale, equal_nan=True)
        if not close.all():
            wrong.add(name)
    return wrong


def groups_of(eigenvalues: np.ndarray) -> np.ndarray:
    """Number of each mode's group, (modes,): a gap of 1e-5 of the largest eigenvalue opens a new one."""
    return np.cumsum(np.append(False, -np.diff(eigenvalues) > 1e-5 * eigenvalues[0]))


def together(modes: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Modes alone in their group as they are, the others by the norm of the group; shape (steps, modes)."""
    result = np.zeros_like(modes)
    for row, number, values in zip(result, groups, modes, strict=True):
        sizes = np.bincount(number)
        norms = np.sqrt(np.bincount(number, values**2))
        row[: len(sizes)] = np.where(sizes == 1, np.bincount(number, values), norms)
    return result


def test_every_variable_of_the_list_has_a_second_route() -> None:
    """No measurement enters the list without brute force; and a wrong step is seen by it."""
    b = block(NETWORKS[0], 7, 2, training=EVERYTHING)
    points = reference_measurements.Points(NETWORKS[0], 7, 2, start_parameters(b, 0, 4), DATA)
    theta = next(reference_optimizers.descent(points.train, 0.1))
    known = reference_measurements.measure(points, theta, 0.1, 0, CUTOFF, 1.0)
    assert set(known) == NEW
    later = run(b, DATA).sel(seed=0, learning_rate=0.1, step=3)
    agreeing = [name for name in known if np.allclose(later[name], known[name], rtol=1e-6, equal_nan=True)]
    assert {"second_order_norm", "residual_mode", "linearized_distance", "test_loss"}.isdisjoint(agreeing)


@pytest.mark.parametrize("outputs", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_numbers_do_not_depend_on_what_else_is_measured(outputs: int) -> None:
    """The contract's set has the same bits beside everything else, and each measurement alone."""
    network, data = FullyConnected(weight_variance=2.0, bias_variance=0.2), sphere(5, 4, outputs, 3)
    rates = {"learning_rates": (0.02, 0.05), "learning_rates_absolute": (0.02, 0.05)}
    few = run(block(network, 9, 2, **rates), data)
    steps = {"training": EVERYTHING.model_copy(update={"steps": 6, "records": 7})}
    everything = run(block(network, 9, 2, **rates, **steps), data)
    assert_same_bits(few, everything)
    for name in MEASUREMENTS:
        alone = GradientDescent(steps=6, records=7, measure=(name,), information_cutoff=CUTOFF)
        result = run(block(network, 9, 2, **rates, training=alone), data)
        assert set(result.data_vars) == {v.name for v in alone.variables}
        for variable in result.data_vars:
            np.testing.assert_array_equal(result[variable], everything[variable], err_msg=str(variable))


@pytest.mark.parametrize("outputs", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_bits_of_every_measurement_do_not_depend_on_grouping(outputs: int) -> None:
    """Single cells repeat the whole batch, at sizes that are no multiple of eight."""
    data = sphere(9, 4, outputs, 5)
    network = FullyConnected(activation="tanh", bias_variance=0.1)
    whole = run(block(network, 13, 2, training=EVERYTHING, seeds=(0, 1, 2)), data)
    rate = {"learning_rates": (0.1,), "learning_rates_absolute": (0.1,)}
    alone = run(block(network, 13, 2, training=EVERYTHING, seeds=(2,), **rate), data)
    for name in whole.data_vars:
        np.testing.assert_array_equal(
            whole[name].sel(seed=[2], learning_rate=[0.1]), alone[name], err_msg=name
        )


@pytest.mark.parametrize("training", [Nesterov, GradientFlow])
def test_a_linear_model_is_its_own_linearisation(training: type) -> None:
    """Where the last layer trains alone u = u_lin on all points, under momentum and flow too."""
    measure = ("loss", "linearized", "linearized_test", "second_order")
    config = training(steps=30, records=8, measure=measure)
    result = run(block(FullyConnected(trains="last"), 24, 2, training=config), DATA)
    np.testing.assert_allclose(result.linearized_distance, 0.0, atol=1e-7)
    np.testing.assert_allclose(result.linearized_test_distance, 0.0, atol=1e-7)
    np.testing.assert_allclose(result.second_order_norm, 0.0, atol=EXACT)
    moving = run(block(FullyConnected(activation="tanh"), 24, 2, training=config), DATA)
    assert (moving.linearized_distance.isel(step=-1) > 1e-4).all()


def test_an_unknown_measurement_is_answered_with_the_nearest() -> None:
    """The message names it; order and repeats do not matter; the default is what is measured without."""
    with pytest.raises(ValidationError, match="'spectrm' is not a measurement; the nearest is 'spectrum'"):
        GradientDescent(steps=1, measure=("spectrm",))
    assert GradientDescent(steps=1, measure=("drift", "loss", "drift")).measure == ("loss", "drift")
    assert GradientDescent(steps=1, measure=DEFAULT) == GradientDescent(steps=1)
    assert GradientDescent(steps=1, measure=("loss",)).model_dump()["measure"] == ("loss",)
