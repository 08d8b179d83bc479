"""Activations: values, derivatives, names."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.tolerances import EXACT
from widesweep.theory.activations import ERF, GELU, LINEAR, RELU, TANH, Activation, get, leaky

ALL = (RELU, LINEAR, TANH, ERF, GELU, leaky(-0.3, 1.2))


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.name)
def test_derivative_is_the_slope_of_the_value(activation: Activation) -> None:
    """σ' agrees with a central difference away from the kink."""
    z = np.array([-2.3, -0.7, 0.4, 1.9])
    step = 1e-5
    slope = (activation.value(z + step) - activation.value(z - step)) / (2 * step)
    assert np.allclose(activation.derivative(z), slope, rtol=0, atol=1e-9)


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.name)
def test_slopes_are_given_exactly_where_the_function_is_scale_invariant(activation: Activation) -> None:
    """σ(3t) = 3σ(t) holds for those with slopes and fails for the others."""
    z = np.array([-1.1, 0.8])
    homogeneous = np.allclose(activation.value(3 * z), 3 * activation.value(z), rtol=EXACT)
    assert homogeneous == (activation.slopes is not None)


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.name)
def test_activations_survive_a_trip_between_processes(activation: Activation) -> None:
    """A pickled activation compares equal, so that its closed form is still found."""
    assert pickle.loads(pickle.dumps(activation)) == activation


def test_an_unknown_name_offers_the_nearest() -> None:
    """The message names what was meant."""
    with pytest.raises(ValueError, match="relu"):
        get("rellu")


def test_two_zero_slopes_are_refused() -> None:
    """σ = 0 is no activation."""
    with pytest.raises(ValueError, match="not both 0"):
        leaky(0.0, 0.0)
