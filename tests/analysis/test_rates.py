"""The late-time rate is found where it can be, and refused where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from widesweep.analysis.fitting import rates
from widesweep.analysis.fitting.rates import late_rates

STEPS = np.concatenate([[0.0], np.unique(np.rint(np.geomspace(1, 2000, 63)))])


def decay(
    rate: np.ndarray,
    *,
    modes: int,
    gap: float = 1.5,
    floor: float = 1e-15,
    steps: np.ndarray = STEPS,
    seed: int = 0,
) -> np.ndarray:
    """‖r(k)‖ of `modes` modes from `rate` to 20 × gap × `rate`, amplitudes random, on a rounding floor."""
    generator = np.random.default_rng(seed)
    factors = np.concatenate([[1.0], np.geomspace(gap, 20 * gap, modes - 1)])
    amplitude = generator.uniform(0.3, 2.0, size=(len(rate), 1, modes))
    exponent = -2 * rate[:, None, None] * factors * steps[:, None]
    norm = np.sqrt((amplitude**2 * np.exp(exponent)).sum(-1))
    return norm + floor * norm[:, :1] * generator.uniform(0.5, 2.0, size=norm.shape)


@pytest.mark.parametrize("modes", [2, 5, 40])
def test_the_least_rate_of_many_modes_is_found_within_five_percent(modes: int) -> None:
    """Sum of 2–40 exponentials above a float64 floor: the slowest comes out, in nearly every cell."""
    truth = np.geomspace(0.008, 0.1, 60)
    rate, error, start, stop, flag = late_rates(decay(truth, modes=modes), STEPS)
    ok = flag == rates.OK
    assert ok.mean() > 0.9
    assert np.abs(rate[ok] / truth[ok] - 1).max() < 0.05
    assert np.median(np.abs(rate[ok] / truth[ok] - 1)) < 0.01
    assert (stop[ok] > start[ok]).all()
    assert (np.abs(rate[ok] - truth[ok]) < 3 * error[ok] + 0.005 * truth[ok]).mean() > 0.9


def test_fitting_the_whole_curve_would_be_wrong_by_more_than_the_error() -> None:
    """Negative control: a line through all records, transient and floor included, misses the truth."""
    truth = np.full(20, 0.05)
    norm = decay(truth, modes=40)
    whole = np.array([-np.polyfit(STEPS, np.log(n), 1)[0] for n in norm])
    _, error, *_ = late_rates(norm, STEPS)
    assert (np.abs(whole - truth) > 5 * np.maximum(error, 1e-3 * truth)).all()
    assert (np.abs(whole / truth - 1) > 0.2).all()


@pytest.mark.parametrize("last", [300, 700])
def test_an_early_window_would_be_too_fast_and_is_flagged_instead(last: int) -> None:
    """Training that stops in the transient is flagged, where a line would say 1.4 to 2.6 times too fast."""
    truth = np.full(10, 0.002)
    steps = np.unique(np.rint(np.geomspace(1, last, 50)))
    norm = decay(truth, modes=30, steps=steps)
    early = -np.polyfit(steps[-12:], np.log(norm[:, -12:]).T, 1)[0]
    rate, *_, flag = late_rates(norm, steps)
    assert (early > 1.4 * truth).all()
    assert (flag == rates.TRANSIENT_ONLY).all()
    assert np.isnan(rate).all()


@pytest.mark.parametrize(("floor", "dtype"), [(1e-13, "float64"), (1e-7, "float32")])
def test_rounding_stays_out_of_the_window(floor: float, dtype: str) -> None:
    """A window that reached the floor would give a tenth of the truth; ours stops before it."""
    truth = np.full(20, 0.06)
    norm = decay(truth, modes=3, gap=3.0, floor=floor)
    tail = np.log(norm[:, -8:]) @ np.linalg.pinv(np.vander(STEPS[-8:], 2)).T[:, 0]
    rate, _, _, stop, flag = late_rates(norm, STEPS, floor=rates.ROUNDING_FLOOR[dtype])
    assert (np.abs(tail) < 0.1 * truth).all()
    assert (flag == rates.OK).all()
    assert np.abs(rate / truth - 1).max() < 0.02
    assert (truth * stop < -np.log(floor)).all()


def test_a_floor_that_nobody_stated_is_noticed() -> None:
    """Noise of another optimiser stalls the decay at 1e-4: the window ends above it."""
    truth = np.full(10, 0.03)
    rate, *_, flag = late_rates(decay(truth, modes=2, gap=4.0, floor=1e-4), STEPS)
    assert (flag == rates.OK).all()
    assert np.abs(rate / truth - 1).max() < 0.05


def test_a_floor_reached_too_early_is_flagged() -> None:
    """Half of the decay lies under the floor: no window, and the flag says so."""
    norm = decay(np.full(5, 0.5), modes=40, floor=1e-3)
    rate, *_, flag = late_rates(norm, STEPS, floor=1e-3)
    assert (flag == rates.FLOOR_TOO_EARLY).all()
    assert np.isnan(rate).all()


def test_a_slow_mode_that_comes_to_light_late_is_no_floor() -> None:
    """A mode 30 times slower than the rest, hidden for five e-folds: its rate, or none, never the rest's."""
    steps = np.unique(np.rint(np.geomspace(1, 4000, 80)))
    for last, known in ((4000, True), (400, False)):
        k = steps[steps <= last]
        norm = np.exp(-0.15 * k) + 0.007 * np.exp(-0.005 * k)
        rate, *_, flag = late_rates(norm[None], k)
        assert (flag[0] == rates.OK) == known
        assert not known or abs(rate[0] / 0.005 - 1) < 0.01


def test_few_records_and_gaps_are_flagged() -> None:
    """Four records make no rate, and a cell without any makes none either."""
    norm = decay(np.full(2, 0.05), modes=2)
    norm[0, 4:] = np.nan
    norm[1] = np.nan
    rate, *_, flag = late_rates(norm, STEPS)
    assert flag.tolist() == [rates.TOO_FEW_RECORDS, rates.TOO_FEW_RECORDS]
    assert np.isnan(rate).all()


def test_records_after_convergence_may_be_missing() -> None:
    """A cell that left the batch when it converged keeps its rate."""
    norm = decay(np.full(1, 0.05), modes=3, gap=3.0)
    norm[norm < 1e-9] = np.nan
    rate, *_, flag = late_rates(norm, STEPS)
    assert flag[0] == rates.OK
    assert abs(rate[0] / 0.05 - 1) < 0.01


def test_noise_widens_the_error() -> None:
    """Five percent of autocorrelated noise: two standard errors hold the truth in nine of ten cells."""
    generator = np.random.default_rng(3)
    steps = np.arange(0.0, 400.0, 2.0)
    noise = 0.05 * generator.standard_normal((300, len(steps)))
    for i in range(1, len(steps)):
        noise[:, i] += 0.6 * noise[:, i - 1]
    norm = decay(np.full(300, 0.03), modes=2, gap=8.0, steps=steps) * np.exp(noise)
    rate, error, *_ = late_rates(norm, steps)
    ok = np.isfinite(rate)
    assert ok.mean() > 0.9
    assert (np.abs(rate[ok] - 0.03) < 2 * error[ok]).mean() > 0.9
    assert np.median(error[ok]) < 0.003
