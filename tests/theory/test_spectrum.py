"""Eigenvalues with their rounding error."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory.references import skewed_points
from tests.tolerances import EXACT
from widesweep.theory.activations import RELU
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.linearised.optimizers import steps_to_tolerance
from widesweep.theory.spectrum import decomposition, eigenvalues_with_error


def test_the_error_covers_a_spectrum_known_in_advance() -> None:
    """A matrix built from fifteen decades of eigenvalues returns each within the stated error."""
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    known = np.sort(np.geomspace(1e-12, 3.0, 40))
    matrix = (basis * known) @ basis.T
    found, error = eigenvalues_with_error((matrix + matrix.T) / 2)
    assert np.abs(found - known).max() <= error < 1e-12


def test_a_duplicate_point_leaves_an_eigenvalue_below_the_error() -> None:
    """With a row twice, λ_min cannot be told from 0; without, it can."""
    x = skewed_points(6)
    gram = x @ x.T
    distinct, error = eigenvalues_with_error(
        fully_connected_kernels(gram, 2, RELU, weight_variance=2.0).ntk()
    )
    assert distinct[0] > 1e3 * error
    rows = [0, 1, 2, 3, 4, 5, 2]
    twice, error = eigenvalues_with_error(
        fully_connected_kernels(gram[np.ix_(rows, rows)], 2, RELU, weight_variance=2.0).ntk(),
        entry_error=2e-8,
    )
    assert abs(twice[0]) < error


def test_an_asymmetric_matrix_is_refused() -> None:
    """The message says by how much."""
    with pytest.raises(ValueError, match=r"asymmetric by 0\.1"):
        eigenvalues_with_error([[1.0, 0.1], [0.0, 1.0]])


def test_a_decomposition_gives_the_matrix_back() -> None:
    """VΛVᵀ is A to rounding, and what is asked of A may be asked of its spectrum."""
    x = skewed_points(6)
    matrix = fully_connected_kernels(x @ x.T, 2, RELU, weight_variance=2.0).ntk()
    found = decomposition(matrix)
    np.testing.assert_allclose((found.vectors * found.eigenvalues) @ found.vectors.T, matrix, atol=EXACT)
    assert found.error == pytest.approx(eigenvalues_with_error(matrix)[1], rel=EXACT)
    of_matrix, of_spectrum = (steps_to_tolerance(each, np.ones(6), 0.01, 1e-3) for each in (matrix, found))
    assert of_matrix == of_spectrum
