"""Polynomials on the sphere against quadrature, low degrees by hand, and the controls that must differ."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import roots_jacobi

from tests.tolerances import EXACT
from widesweep.theory.generalisation.gegenbauer import sphere_polynomial


@pytest.mark.parametrize("inputs", [2, 3, 10, 41])
def test_polynomials_are_orthonormal_over_the_sphere(inputs: int) -> None:
    """Gauss–Jacobi quadrature of t = x_1, whose density is (1 − t²)^((d−3)/2); another d is wrong."""
    t, weights = roots_jacobi(40, (inputs - 3) / 2, (inputs - 3) / 2)
    values = np.stack([sphere_polynomial(k, inputs, t) for k in range(9)])
    gram = values * (weights / weights.sum()) @ values.T
    np.testing.assert_allclose(gram, np.eye(9), atol=EXACT)
    other = np.stack([sphere_polynomial(k, inputs + 1, t) for k in range(9)])
    assert np.abs(other * (weights / weights.sum()) @ other.T - np.eye(9)).max() > 0.01


def test_low_degrees_are_those_by_hand() -> None:
    """√d t, and (d t² − 1) over the root of its mean square, 2(d − 1)/(d + 2)."""
    t, d = np.linspace(-1.0, 1.0, 7), 6
    np.testing.assert_allclose(sphere_polynomial(1, d, t), np.sqrt(d) * t, rtol=EXACT)
    quadratic = (d * t**2 - 1.0) / np.sqrt(2.0 * (d - 1) / (d + 2))
    np.testing.assert_allclose(sphere_polynomial(2, d, t), quadratic, atol=EXACT)


def test_what_is_no_polynomial_is_refused() -> None:
    """A negative degree, and a line instead of a sphere."""
    for degree, inputs in ((-1, 3), (1, 1)):
        with pytest.raises(ValueError, match="they begin at 0 and 2"):
            sphere_polynomial(degree, inputs, 0.5)
