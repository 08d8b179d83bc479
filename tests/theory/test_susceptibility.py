"""Susceptibilities against finite differences of the recursion, exponents against the known classes."""

from __future__ import annotations

import numpy as np
import pytest

from widesweep.theory.activations import ERF, GELU, RELU, TANH, Activation, leaky
from widesweep.theory.infinite_width.duals import second_moments
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.infinite_width.susceptibility import depth_exponents, susceptibilities

SIN = Activation("sin", np.sin, np.cos)


@pytest.mark.parametrize("activation", [TANH, GELU, ERF, leaky(0.2, 1.0)], ids=lambda a: a.name)
def test_susceptibilities_are_how_small_differences_grow(activation: Activation) -> None:
    """One layer of the kernel recursion, perturbed in norm and in angle, moves by χ∥ and χ⊥."""
    variance, step, weight = 1.3, 1e-5, 1.7

    def layer(gram: list[list[float]]) -> np.ndarray:
        return fully_connected_kernels(
            gram, 1, activation, weight_variance=weight, first_weight_variance=1.0
        ).nngp

    up, down = (layer([[variance + s * step]])[0, 0] for s in (1, -1))
    near = layer([[variance, variance - step], [variance - step, variance]])
    parallel, perpendicular = susceptibilities(activation, variance, weight_variance=weight)
    assert (up - down) / (2 * step) == pytest.approx(parallel, rel=1e-6)
    # a kink makes the angular derivative start with the square root of the gap
    assert (near[0, 0] - near[0, 1]) / step == pytest.approx(
        perpendicular, rel=1e-2 if activation.slopes else 1e-4
    )


@pytest.mark.parametrize(
    ("activation", "exponent"), [(RELU, 0), (leaky(-0.3, 1.2), 0), (TANH, 1), (ERF, 1), (SIN, 1)]
)
def test_two_universality_classes(activation: Activation, exponent: int) -> None:
    """α = β = 0 for the scale-invariant family, 1 for tanh, erf and sin, within twice the stated error."""
    found = depth_exponents(activation, depth=1024)
    assert abs(found.alpha - exponent) <= max(1e-9, 2 * found.alpha_error)
    assert abs(found.beta - exponent) <= max(1e-9, 2 * found.beta_error)
    assert found.alpha_error < 0.01
    assert found.universality_class == ("K* = 0" if exponent else "scale-invariant")


def test_amplitudes_of_the_decay_are_those_of_science() -> None:
    """K_l → 1/(2l) for tanh and 1/l for sin, within log(l)/l."""
    for activation, amplitude in ((TANH, 0.5), (SIN, 1.0)):
        variance = np.ones(1)
        for _ in range(1000):
            variance = second_moments(activation, variance)[0]
        assert variance[0] * 1000 == pytest.approx(amplitude, rel=0.01)


def test_half_stable_stays_where_it_starts() -> None:
    """GELU at K* keeps its variance and its angle."""
    found = depth_exponents(GELU, depth=64)
    assert abs(found.alpha) + abs(found.beta) < 1e-9
    assert found.universality_class == "half-stable"
