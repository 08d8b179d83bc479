"""A limit in width comes with an interval that holds it, however the width gets there."""

from __future__ import annotations

import numpy as np
import pytest

from widesweep.analysis.fitting import fit
from widesweep.analysis.fitting.extrapolation import Extrapolation

WIDTHS = np.array([64.0, 128, 256, 512])


def ratios(seed: int, power: float, deficit: float, seeds: int = 8) -> np.ndarray:
    """1 − deficit (m₀/m)^power with the scatter of measured rates, 15 % at m₀ and falling like 1/√m."""
    generator = np.random.default_rng([seed, 7])
    mean = 1.0 - deficit * (WIDTHS[0] / WIDTHS) ** power
    noise = (
        0.15 * np.sqrt(WIDTHS[0] / WIDTHS)[:, None, None, None] * generator.standard_normal((4, 3, seeds, 1))
    )
    return mean[:, None, None, None] * (1 + noise) * np.ones((1, 1, 1, 2))


def interval(values: np.ndarray) -> fit.Estimate:
    extrapolation = Extrapolation(values, WIDTHS)
    return fit.bootstrap(extrapolation.values, extrapolation.limit, resamples=200).widened(
        extrapolation.systematic
    )


@pytest.mark.parametrize(("power", "deficit"), [(1.0, 0.0), (1.0, 0.25), (0.5, 0.25)])
def test_the_limit_is_in_the_interval(power: float, deficit: float) -> None:
    """Corrections in 1/m and in 1/√m of 25 % at the smallest width: covered in at least 90 % of 60 draws."""
    estimates = [interval(ratios(seed, power, deficit)) for seed in range(60)]
    assert np.mean([e.low <= 1.0 <= e.high for e in estimates]) >= 0.9
    assert max(e.half_width for e in estimates) < 0.2


def test_the_largest_width_alone_would_miss_the_limit() -> None:
    """Negative control: without extrapolation the mean over seeds at m = 512 lies below the limit."""
    means = [ratios(seed, 0.5, 0.25)[-1].mean() for seed in range(60)]
    assert np.mean(means) < 0.93


def test_two_widths_are_refused() -> None:
    """Nothing is extrapolated from fewer than three widths."""
    values = ratios(0, 1.0, 0.1)
    values[2:] = np.nan
    assert not Extrapolation(values, WIDTHS).possible
