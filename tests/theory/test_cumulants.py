"""Leading cumulants by recursion against exact values, a direct simulation, and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstat

from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import ERF, GELU, LINEAR, RELU, TANH, Activation, leaky
from widesweep.theory.finite_width.cumulants import leading_cumulants, moment_derivatives, variance_recursion
from widesweep.theory.finite_width.moments import exact_cumulants
from widesweep.theory.quadrature import gaussian_expectation

ORDERS = (4, 6, 8)


@pytest.mark.parametrize(
    "activation", [RELU, LINEAR, leaky(0.2, 1.0), leaky(-0.3, 1.2)], ids=lambda a: a.name
)
def test_leading_order_is_the_limit_of_the_exact_values(activation: Activation) -> None:
    """exact/leading − 1 falls like 1/n for κ4, κ6 and κ8, at a weight variance that is not critical."""
    gaps = [
        exact_cumulants([n] * 5, activation, ORDERS)
        / leading_cumulants(n, 5, activation, ORDERS, weight_variance=1.7)
        - 1
        for n in (10**4, 10**5, 10**6)
    ]
    assert np.abs(gaps[2]).max() < 1e-4
    assert np.allclose(gaps[0] / gaps[1], 10, rtol=0.05)
    assert np.allclose(gaps[1] / gaps[2], 10, rtol=0.05)


@pytest.mark.parametrize(
    ("activation", "weight", "bias"), [(TANH, 1.0, 0.0), (TANH, 1.7, 0.1), (ERF, 1.2, 0.05)], ids=str
)
def test_a_simulated_chain_approaches_the_recursion(
    activation: Activation, weight: float, bias: float
) -> None:
    """Cumulants of q of 60,000 networks at n = 16 lie within 5 standard errors and 5 % for O(1/n)."""
    depth, width, draws, batches = 3, 16, 60_000, 30
    rng = np.random.default_rng(4)
    q = np.full(draws, bias + weight)
    for _ in range(depth):
        g = rng.standard_normal((draws, width))
        q = bias + weight * np.square(activation.value(np.sqrt(q)[:, None] * g)).mean(axis=1)
    statistics = np.array([[kstat(batch, k) for k in (2, 3)] for batch in np.split(q, batches)])
    last = variance_recursion(depth, activation, weight_variance=weight, bias_variance=bias)[-1]
    expected = np.array([last.second / width, last.third / width**2])
    error = statistics.std(axis=0, ddof=1) / math.sqrt(batches)
    # the 1/n correction was 3–5 % for c2 and c3 at n = 8 and 1 % for c2 at n = 32
    assert (
        np.abs(statistics.mean(axis=0) - expected) < MONTE_CARLO_SE * error + 0.05 * np.abs(expected)
    ).all()
    # negative control: without what earlier layers carry over, both are missed
    single = variance_recursion(1, activation, weight_variance=weight, bias_variance=bias)[-1]
    assert (
        abs(statistics.mean(axis=0)[0] - single.second / width)
        > MONTE_CARLO_SE * error[0] + 0.05 * expected[0]
    )


@pytest.mark.parametrize(("activation", "reach"), [(TANH, 0.12), (GELU, 0.02)], ids=["tanh", "gelu"])
def test_the_recursion_is_the_saddle_point_of_the_generating_function(
    activation: Activation, reach: float
) -> None:
    """c_k by differentiating G'(s) = sup_q[φ(s; q) − I(q)] numerically: another route to all three orders.

    With n → ∞ at fixed s, log E exp(n s q_2) = n φ(s; K₁) after one layer and, after two, n φ(t*; ·)
    composed at its stationary point; here the second layer's generating function is solved by Newton steps
    in q and t.
    """
    weight, bias = 1.4, 0.2

    def log_mean(s: float, q: float) -> float:
        return s * bias + math.log(
            gaussian_expectation(lambda z: np.exp(s * weight * np.square(activation.value(z))), q)[0]
        )

    def derivative(f, x: float, h: float) -> float:
        return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)

    first = bias + weight

    def generating(s: float) -> float:
        t, q = 0.0, first
        for _ in range(60):  # stationary in both: t = ∂_q φ(s; q), q = ∂_t φ(t; K₁)
            t = derivative(lambda x: log_mean(s, x), q, 1e-3)
            q = derivative(lambda x: log_mean(x, first), t, 1e-3)
        return log_mean(s, q) - t * q + log_mean(t, first)

    nodes = np.linspace(-reach, reach, 13)
    fitted = np.polynomial.Polynomial.fit(nodes, [generating(s) for s in nodes], 10).convert().coef
    last = variance_recursion(2, activation, weight_variance=weight, bias_variance=bias)[-1]
    assert fitted[1] == pytest.approx(last.mean, rel=1e-8)
    assert 2 * fitted[2] == pytest.approx(last.second, rel=1e-6)
    assert 6 * fitted[3] == pytest.approx(last.third, rel=1e-4)
    assert 24 * fitted[4] == pytest.approx(last.fourth, rel=1e-3)


def test_derivatives_of_the_moments_agree_with_differences() -> None:
    """∂_q E[σ^{2k}] by Hermite weights equals a central difference of the moments."""
    step = 1e-4
    up, down = (moment_derivatives(GELU, 1.3 + s * step)[:, :3] for s in (1, -1))
    assert np.allclose((up - down) / (2 * step), moment_derivatives(GELU, 1.3)[:, 1:], rtol=1e-6, atol=1e-8)


def test_piecewise_powers_agree_with_quadrature() -> None:
    """The closed moments of leaky slopes equal quadrature of the same function under another name."""
    slopes = leaky(-0.3, 1.2)
    other = Activation("other", slopes.value, slopes.derivative)
    assert np.allclose(
        moment_derivatives(slopes, 0.8), moment_derivatives(other, 0.8), rtol=EXACT, atol=EXACT
    )


def test_fifty_layers_have_the_slopes_of_science() -> None:
    """V/(nK²)/l at l = 50: 0.647 tanh, 0.668 sin, 0.653 erf at π/4; all three 2/3 only much deeper."""
    sine = Activation("sin", np.sin, np.cos)
    for activation, weight, slope in ((TANH, 1.0, 0.647), (sine, 1.0, 0.668), (ERF, math.pi / 4, 0.653)):
        for depth, expected, within in ((50, slope, 5e-4), (1000, 2 / 3, 3e-3)):
            fourth = leading_cumulants(1, depth, activation, [4], weight_variance=weight)[0]
            assert fourth / 3 / depth == pytest.approx(expected, abs=within)


def test_orders_and_widths_outside_the_recursion_are_refused() -> None:
    """10 is not written; 0 neurons are none."""
    with pytest.raises(ValueError, match="orders"):
        leading_cumulants(8, 1, RELU, [10], weight_variance=2.0)
    with pytest.raises(ValueError, match="width 0"):
        leading_cumulants(0, 1, RELU, [4], weight_variance=2.0)
