"""Intervals cover as often as they say, with five seeds as with fifty."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.synthetic import late_rates
from tests.tolerances import EXACT
from widesweep.analysis.fitting import fit

WIDTHS = np.array([64.0, 128, 256, 512])
LOG_M = np.log(WIDTHS)[:, None, None]


def sweep(seed: int, *, seeds: int, exponent: float = -0.5, depths: int = 2) -> np.ndarray:
    """Log of a power law; the two learning rates of one seed share most of their noise; noise is skewed."""
    generator = np.random.default_rng([seed, seeds])
    shared = 0.1 * (generator.gamma(4.0, size=(4, depths, seeds, 1)) - 4.0)
    own = 0.02 * generator.standard_normal((4, depths, seeds, 2))
    return exponent * LOG_M[:, :, None] + shared + own


def coverage(draws: int, *, seeds: int, resamples: int) -> float:
    """Share of synthetic sweeps whose interval holds the true exponent."""
    weight = np.full((4, 2, 2), float(seeds))
    law = fit.power_law(LOG_M, weight)
    hits = 0
    for draw in range(draws):
        estimate = fit.bootstrap(sweep(draw, seeds=seeds), law, resamples=resamples, seed=draw)
        hits += estimate.low <= -0.5 <= estimate.high
    return hits / draws


def test_intervals_cover_nineteen_times_in_twenty() -> None:
    """150 synthetic sweeps of 6 seeds: 95 % ± 4.5 binomial standard errors' worth of them are covered."""
    assert 0.90 <= coverage(150, seeds=6, resamples=300) <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 8])
def test_intervals_cover_93_to_97_percent_of_a_thousand_sweeps(seeds: int) -> None:
    """The calibration that the intervals are built for."""
    assert 0.93 <= coverage(1000, seeds=seeds, resamples=1000) <= 0.97


def test_the_percentile_interval_would_be_too_short() -> None:
    """Negative control: plain percentiles of a bootstrap of 4 seeds cover far less than they say."""
    generator = np.random.default_rng(5)
    hits, ours = 0, 0
    for draw in range(200):
        values = generator.standard_normal((1, 1, 4, 1))
        picks = generator.integers(0, 4, size=(400, 4))
        low, high = np.quantile(values[0, 0, :, 0][picks].mean(1), [0.025, 0.975])
        hits += low <= 0 <= high
        estimate = fit.bootstrap(values, lambda means: means[..., 0, 0, 0], resamples=400, seed=draw)
        ours += estimate.low <= 0 <= estimate.high
    assert hits / 200 < 0.88
    assert 0.91 <= ours / 200 <= 0.99


def test_heavy_tails_are_covered_too() -> None:
    """Rates of five seeds at three depths whose spreads differ; negative control: each group's own spread."""
    x = np.array([0.0, 1.0, 2.0])[:, None, None]
    law, generator = fit.power_law(x, np.ones((3, 1, 1))), np.random.default_rng(8)
    hits = {True: 0, False: 0}
    for draw in range(400):
        spread = np.exp(0.5 * generator.standard_normal((3, 1, 1, 1)))
        values = x[:, :, None] + spread * late_rates(generator, 15).reshape(3, 1, 5, 1)
        for heavy in hits:
            found = fit.bootstrap(values, law, resamples=300, seed=draw, heavy_tails=heavy)
            hits[heavy] += found.low <= 1.0 <= found.high
    assert hits[False] / 400 < 0.91 < 0.92 < hits[True] / 400 < 0.99


def test_one_spread_of_all_groups_counts_each_learning_rate_of_a_seed_once() -> None:
    """The mean over two rates that agree: the error of one; over two that are independent: less by a root."""
    noise = np.random.default_rng(2).standard_normal((2, 1, 900, 2))
    noise[0] *= 1e-3  # a group of 100 seeds that hardly differ: by its own spread it would count for nothing
    noise[0, :, 100:] = np.nan
    for values, ratio in ((noise[..., :1].repeat(2, -1), 1.0), (noise, np.sqrt(0.5))):
        found = fit.bootstrap(values, lambda means: means.mean((-1, -2, -3)), heavy_tails=True)
        assert found.error == pytest.approx(ratio * np.sqrt(0.9 * (1 / 100 + 1 / 900)) / 2, rel=0.05)
        assert found.degrees == 998


def test_a_fit_is_the_same_to_the_last_bit_twice() -> None:
    """The generator's seed is fixed."""
    values = sweep(0, seeds=5)
    law = fit.power_law(LOG_M, np.full((4, 2, 2), 5.0))
    assert fit.bootstrap(values, law) == fit.bootstrap(values, law)


def test_missing_cells_shift_no_slope() -> None:
    """A noiseless law with holes has the same exponent: amplitudes are free per depth and learning rate."""
    values = -0.5 * LOG_M[:, :, None] + np.zeros((4, 2, 5, 2)) + np.array([0.0, 3.0])[None, :, None, None]
    values[0, 0, :, 1] = np.nan
    values[2, 1, 1:, 0] = np.nan
    weight = np.isfinite(values).sum(2).astype(float)
    slope = float(fit.power_law(LOG_M, weight)(fit.means_over_seeds(values)))
    assert abs(slope + 0.5) < EXACT


def test_a_correction_left_free_is_told_from_the_exponent() -> None:
    """m^−½ (1 + 3/√m): the plain slope is off by 0.07, the corrected one is right."""
    values = -0.5 * LOG_M + np.log1p(3.0 / np.sqrt(WIDTHS))[:, None, None]
    weight = np.ones((4, 1, 1))
    plain = float(fit.power_law(LOG_M, weight)(values))
    corrected = float(fit.corrected_power_law(LOG_M, (WIDTHS**-0.5)[:, None, None], weight)(values))
    assert abs(plain + 0.5) > 0.05
    assert abs(corrected + 0.5) < 0.03


@pytest.mark.parametrize("case", ["one seed", "one of two seeds at each width", "seeds that agree"])
def test_without_a_spread_there_is_no_interval(case: str) -> None:
    """The slope is there and its interval is NaN; control: two seeds that differ have one."""
    values = -0.5 * LOG_M[:, :, None] + 0.1 * np.random.default_rng(0).standard_normal((4, 1, 2, 1))
    law = fit.power_law(LOG_M, np.ones((4, 1, 1)))
    assert np.isfinite(fit.bootstrap(values, law).half_width)
    if case == "one seed":
        values = values[:, :, :1]
    elif case == "seeds that agree":
        values = values[:, :, :1].repeat(3, axis=2)
    else:
        values[[0, 1, 2, 3], 0, [0, 1, 0, 1]] = np.nan
    estimate = fit.bootstrap(values, law)
    assert np.isfinite(estimate.value)
    assert np.isnan([estimate.low, estimate.high, estimate.error]).all()
