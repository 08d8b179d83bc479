"""Learning curves against kernel regression on samples, closed forms, and the equations themselves."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.generalisation.eigenlearning import kernel_spectrum, learning_curve

MODES = 60
SPECTRUM = np.arange(1.0, MODES + 1) ** -1.5
COEFFICIENTS = np.arange(1.0, MODES + 1) ** -1.0


def regression_errors(samples: int, ridge: float, noise: float, coefficients: np.ndarray) -> np.ndarray:
    """Test and train errors of 400 kernel regressions on Gaussian features, shape (400, 2)."""
    rng = np.random.default_rng(samples)
    found = []
    for _ in range(400):
        features = rng.standard_normal((samples, MODES))
        y = features @ coefficients + np.sqrt(noise) * rng.standard_normal(samples)
        kernel = features * SPECTRUM @ features.T + ridge * np.eye(samples)
        weights = SPECTRUM * (features.T @ np.linalg.solve(kernel, y))
        train = np.square(features @ weights - y).mean()
        found.append([np.square(weights - coefficients).sum() + noise, train])
    return np.array(found)


@pytest.mark.parametrize(("ridge", "noise"), [(0.3, 0.0), (0.3, 0.2), (1.0, 0.5)])
def test_errors_are_those_of_kernel_regression_on_samples(ridge: float, noise: float) -> None:
    """Gaussian features, 40 samples, 400 data sets: within 5 standard errors and the equations' own 2 %."""
    found = regression_errors(40, ridge, noise, COEFFICIENTS)
    curve = learning_curve(SPECTRUM, COEFFICIENTS, 40, ridge=ridge, noise_variance=noise)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    expected = np.array([curve.test_error, curve.train_error])
    assert np.all(np.abs(found.mean(axis=0) - expected) < MONTE_CARLO_SE * error + 0.02 * expected)
    wrong = learning_curve(SPECTRUM, COEFFICIENTS[::-1], 40, ridge=ridge, noise_variance=noise)
    assert abs(found[:, 0].mean() - wrong.test_error) > MONTE_CARLO_SE * error[0] + 0.02 * wrong.test_error


@pytest.mark.parametrize("ridge", [0.0, 1e-9, 0.1, 30.0])
@pytest.mark.parametrize("samples", [1, 7, 59])
def test_learnabilities_add_up_to_the_samples_that_the_ridge_leaves(samples: int, ridge: float) -> None:
    """Σ L_i = n − δ/κ."""
    curve = learning_curve(SPECTRUM, COEFFICIENTS, samples, ridge=ridge)
    assert curve.learnabilities.sum() == pytest.approx(samples - ridge / curve.kappa, rel=EXACT)


def test_equal_eigenvalues_have_a_closed_form() -> None:
    """d equal modes without a ridge: κ = λ(d − n)/n, each L = n/d, the error (1 − n/d)‖v‖²."""
    curve = learning_curve(np.full(10, 3.0), np.ones(10), 4)
    assert curve.kappa == pytest.approx(3.0 * 6 / 4, rel=EXACT)
    assert np.allclose(curve.learnabilities, 0.4, rtol=EXACT)
    assert curve.test_error == pytest.approx(0.6 * 10, rel=EXACT)
    assert curve.train_error == 0.0


def test_samples_beyond_the_modes_leave_noise_alone() -> None:
    """Least squares of 3 features on 12 samples: 12/9 of the noise on new points, 9/12 on the samples."""
    curve = learning_curve([2.0, 1.0, 0.5], np.ones(3), 12, noise_variance=0.9)
    assert curve.test_error == pytest.approx(12 / 9 * 0.9, rel=EXACT)
    assert curve.train_error == pytest.approx(9 / 12 * 0.9, rel=EXACT)


def test_a_spectrum_from_points_is_that_of_their_distribution() -> None:
    """A linear kernel of 500 Gaussian points has its features' spectrum, to 5 standard errors."""
    rng = np.random.default_rng(2)
    scales, weights = np.array([2.0, 1.0, 0.25]), np.array([1.0, -2.0, 0.5])
    features = rng.standard_normal((500, 3))
    found, coefficients = kernel_spectrum(features * scales @ features.T, features @ weights)
    error = MONTE_CARLO_SE * np.sqrt(2 / 500)
    assert np.allclose(found[:3], scales, rtol=error)
    assert np.allclose(np.abs(coefficients[:3]), np.abs(weights), rtol=2 * error, atol=2 * error)
    assert np.all(found[3:] < 1e-12)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (([1.0, -1.0], [1.0, 1.0], 3), {}),
        (([1.0], [1.0, 1.0], 3), {}),
        (([1.0], [1.0], 0), {}),
        (([1.0], [1.0], 3), {"ridge": -1.0}),
        (([1.0], [np.nan], 3), {}),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple, options: dict) -> None:
    """Each raises a ValueError rather than returning a number."""
    with pytest.raises(ValueError, match=r"\w"):
        learning_curve(*arguments, **options)
