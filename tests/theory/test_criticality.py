"""Critical initialisations against iteration in depth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from widesweep.theory.activations import ERF, GELU, RELU, TANH, Activation, leaky
from widesweep.theory.infinite_width.criticality import (
    critical_point,
    critical_weight_variance,
    preserving_weight_variance,
)
from widesweep.theory.infinite_width.kernels import fully_connected_kernels


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(RELU, 2.0), (leaky(0.5, 1.0), 1.6), (TANH, 1.0), (ERF, math.pi / 4)],
    ids=["relu", "leaky", "tanh", "erf"],
)
def test_the_known_values(activation: Activation, expected: float) -> None:
    """2/(a₋² + a₊²), and 1/σ'(0)²."""
    assert critical_weight_variance(activation) == pytest.approx(expected, rel=1e-12)


def test_gelu_has_its_half_stable_point_with_a_bias() -> None:
    """K* = (3 + √17)/2: K stays there for 100 layers, and two inputs keep their covariance's derivative."""
    point = critical_point(GELU)
    assert point.variance == pytest.approx((3 + math.sqrt(17)) / 2, rel=1e-9)
    first = point.variance - point.bias_variance
    kernels = fully_connected_kernels(
        [[1.0]],
        100,
        GELU,
        weight_variance=point.weight_variance,
        bias_variance=point.bias_variance,
        first_weight_variance=first,
    )
    assert np.allclose(kernels.hidden_nngp, point.variance, rtol=1e-9)
    without = fully_connected_kernels([[1.0]], 100, GELU, weight_variance=point.weight_variance)
    assert (
        without.nngp[0, 0] < 0.5 * without.hidden_nngp[0, 0, 0]
    )  # the same C_W without its bias: not critical


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_off_the_critical_value_relu_explodes_or_vanishes(factor: float) -> None:
    """Negative control: 10 % off, K changes like factor^50."""
    kernels = fully_connected_kernels([[1.0]], 50, RELU, weight_variance=2.0 * factor)
    assert kernels.nngp[0, 0] / kernels.hidden_nngp[0, 0, 0] == pytest.approx(factor**50, rel=1e-9)


def test_a_function_without_a_critical_point_says_so() -> None:
    """z² has χ∥ = 1.5 χ⊥ at every variance."""
    square = Activation("square", np.square, lambda z: 2 * z)
    with pytest.raises(ValueError, match="no critical point"):
        critical_point(square)


@pytest.mark.parametrize(
    ("activation", "bias"),
    [(RELU, 0.0), (leaky(0.5, 1.0), 0.0), (GELU, 0.0), (GELU, 0.1)],
    ids=["relu", "leaky", "gelu", "gelu with biases"],
)
def test_the_preserving_variance_keeps_k_for_forty_layers(activation: Activation, bias: float) -> None:
    """By iteration in depth; control: 2 % more or less do not."""
    weight = preserving_weight_variance(activation, bias)
    for factor in (1.0, 0.98, 1.02):
        kernels = fully_connected_kernels(
            [[1.0]], 40, activation, weight_variance=factor * weight, bias_variance=bias
        )
        kept = np.allclose(kernels.hidden_nngp, weight + bias, rtol=1e-8)
        assert kept == (factor == 1.0)


def test_a_function_whose_variance_always_falls_starts_at_criticality() -> None:
    """tanh has no K > 0 that stays: its default is 1/σ'(0)², where K falls like 1/depth."""
    assert preserving_weight_variance(TANH) == critical_weight_variance(TANH)
