"""Sampling errors of cumulants, by the influence function and by sampling itself."""

from __future__ import annotations

import numpy as np
import pytest

from widesweep.theory.finite_width.sampling import relative_error

DRAWS, REPEATS = 2000, 2000


def cumulant(order: int, q: np.ndarray) -> np.ndarray:
    """Sample cumulants of each row, about its own mean."""
    x = q - q.mean(1, keepdims=True)
    moments = [(x**j).mean(1) for j in range(order + 1)]
    return moments[order] - (3.0 * moments[2] ** 2 if order == 4 else 0.0)


@pytest.mark.parametrize(("order", "spread"), [(2, 0.1), (3, 0.05), (4, 0.03)])
def test_the_error_is_the_spread_of_repeated_samples(order: int, spread: float) -> None:
    """2,000 samples of 2,000 log-normal draws: their standard deviation, whose own error is below 10 %."""
    normal = np.random.default_rng(order).standard_normal((REPEATS, DRAWS))
    found = cumulant(order, np.exp(spread**0.5 * normal - 0.5 * spread))
    many = np.random.default_rng(9).standard_normal((1, 4_000_000))
    true = float(cumulant(order, np.exp(spread**0.5 * many - 0.5 * spread))[0])
    expected = float(relative_error(order, np.expm1(spread), DRAWS))
    assert found.std(ddof=1) / true == pytest.approx(expected, rel=0.15)


def test_heavy_tails_need_draws_in_exponential_number() -> None:
    """exp(k² log(1 + v)) draws leave an error of order one."""
    for order in (2, 3, 4):
        spread = 30.0 / order**2
        error = relative_error(order, np.expm1(spread), np.exp(order**2 * spread))
        assert 0.5 < float(error) < 2.0


def test_an_order_without_a_formula_is_refused() -> None:
    """Cumulants of q of order 5 have none here."""
    with pytest.raises(ValueError, match="order 5"):
        relative_error(5, 0.1, 1e6)
