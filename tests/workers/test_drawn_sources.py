"""Sources of a known law: their moments by Monte Carlo, nested samples, one set of test points, noise."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.workers.data import DataConfig, DataError, load
from widesweep.workers.data.drawn_sources import PowerLaw, SpherePolynomial, Teacher
from widesweep.workers.seeds import generator

SOURCES = {
    "teacher": Teacher(width=16, depth=2, activation="tanh"),
    "power_law": PowerLaw(exponent=1.5, target_exponent=0.5),
    "sphere_polynomial": SpherePolynomial(degree=3),
}


def within(values: np.ndarray, expected: np.ndarray | float) -> bool:
    """Whether means over rows lie within five standard errors of what is expected."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return bool((np.abs(values.mean(axis=0) - expected) < MONTE_CARLO_SE * error).all())


@pytest.mark.parametrize("name", SOURCES)
def test_samples_are_nested_and_test_points_are_the_same_for_all(name: str) -> None:
    """To the last bit, at every number of samples; another seed draws other points."""
    few, many = (
        load(DataConfig(source=SOURCES[name], samples=n, test_samples=7, noise=0.2)) for n in (16, 33)
    )
    for ours, theirs in ((few.x, many.x[:16]), (few.y, many.y[:16]), (few.test_x, many.test_x)):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(few.test_y, many.test_y)
    other = load(DataConfig(source=SOURCES[name], samples=16, test_samples=7, seed=1))
    assert not np.isin(other.x, few.x).any()
    assert not np.isin(few.test_x, many.x).any()


@pytest.mark.parametrize("name", ["teacher", "sphere_polynomial"])
def test_points_are_uniform_on_the_sphere(name: str) -> None:
    """E x = 0, E xxᵀ = I/d, E x_1⁴ = 3/(d(d + 2)), not a Gaussian's; labels have mean square 1."""
    x, y = SOURCES[name].draw(generator("test"), 40_000, 6)
    assert within(x, 0.0)
    assert within(np.einsum("ij,ik->ijk", x, x).reshape(len(x), -1), np.eye(6).ravel() / 6)
    assert within(x[:, 0] ** 4, 3 / 48)
    assert not within(x[:, 0] ** 4, 3 / 36)
    assert abs(np.mean(y**2) - 1.0) < 0.1


def test_a_power_law_has_its_spectrum() -> None:
    """Covariance diag(λ) with tr 1 and E[y g] = v √λ by 40,000 points; another exponent is told apart."""
    source, place = PowerLaw(exponent=1.5, target_exponent=0.5), np.arange(1.0, 7.0)
    g, y = source.features(generator("test"), 40_000, 6)
    variance, power = place**-1.5, place**-0.5
    variance, power = variance / variance.sum(), power / power.sum()
    products = np.einsum("ij,ik->ijk", g, g).reshape(len(g), -1)
    assert within(products, np.diag(variance).ravel())
    assert within(g * y[:, None], np.sqrt(power * variance))
    assert within(y**2, 1.0)
    wrong = place**-1.4 / (place**-1.4).sum()
    assert not within(g**2, wrong)


def test_a_power_laws_labels_are_linear_in_its_unit_inputs() -> None:
    """Least squares of labels on the inputs leaves nothing, and its weights are v/√λ."""
    x, y = PowerLaw(exponent=1.0, target_exponent=2.0).draw(generator("test"), 30, 5)
    place = np.arange(1.0, 6.0)
    variance, power = place**-1.0 / (place**-1.0).sum(), place**-2.0 / (place**-2.0).sum()
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, rtol=EXACT)
    np.testing.assert_allclose(np.linalg.lstsq(x, y)[0], np.sqrt(power / variance), rtol=1e-9)


def test_polynomials_of_other_degrees_do_not_correlate_with_the_label() -> None:
    """E[Q_j Q_k] = δ_jk over 40,000 points of the sphere."""
    x, y = SpherePolynomial(degree=3).draw(generator("test"), 40_000, 6)
    for degree in (1, 2, 4):
        other = SpherePolynomial(degree=degree).draw(generator("test"), 40_000, 6)
        np.testing.assert_array_equal(other[0], x)
        assert within(other[1] * y, 0.0)
    assert within(y**2, 1.0)


def test_a_teacher_is_a_network_of_its_activation() -> None:
    """A linear teacher is linear; one of ReLU is homogeneous, and its weights are those of its own seed."""
    x, y = Teacher(activation="linear", depth=3).draw(generator("test"), 20, 4)
    assert np.abs(x @ np.linalg.lstsq(x, y)[0] - y).max() < 1e-9
    curved = Teacher(depth=3).draw(generator("test"), 20, 4)
    assert np.abs(x @ np.linalg.lstsq(x, curved[1])[0] - curved[1]).max() > 0.01
    assert (Teacher(depth=3, seed=1).draw(generator("test"), 20, 4)[1] != curved[1]).all()


def test_noise_has_its_deviation_and_spares_test_labels() -> None:
    """2,000 numbers of standard deviation 0.3, added after labels are corrupted; test labels stay."""
    settings = {"source": SOURCES["sphere_polynomial"], "samples": 2_000, "test_samples": 50}
    clean, noisy = (load(DataConfig(**settings, noise=noise)) for noise in (0.0, 0.3))
    added = noisy.y - clean.y
    assert within(added, 0.0)
    assert within(added**2, 0.09)
    np.testing.assert_array_equal(noisy.test_y, clean.test_y)
    np.testing.assert_array_equal(noisy.clean_y, clean.y)
    wrong = noisy.corrupted(DataConfig(**settings, noise=0.3, corrupted_fraction=1.0))
    np.testing.assert_allclose(wrong.y, added - clean.y, atol=EXACT)


def test_inputs_belong_to_what_is_drawn() -> None:
    """A drawn source takes them; digits do not, and the message says which do."""
    assert load(DataConfig(source=SOURCES["teacher"], samples=3, inputs=5)).x.shape == (3, 5)
    with pytest.raises(DataError, match="sphere, or one with a kind"):
        load(DataConfig(inputs=5, samples=3))


def test_a_teacher_that_is_zero_everywhere_is_refused() -> None:
    """Ten layers of one rectifier each: no scale makes that a target."""
    with pytest.raises(DataError, match="no finite numbers"):
        load(DataConfig(source=Teacher(width=1, depth=10), samples=4))


def test_a_teacher_runs_no_code_of_others() -> None:
    """Whoever reads a store must not import its author's modules, and a teacher is drawn anew by readers."""
    with pytest.raises(ValueError, match="built-in activation"):
        Teacher(activation="my_lab:softplus")
