"""Forecasts for laws of random networks and of laws against a condition number, by second routes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.summaries import summary
from tests.analysis.synthetic import SyntheticSweep
from tests.tolerances import EXACT
from widesweep.analysis.laws import find_all
from widesweep.analysis.laws.kinds.network_pairs import Pairs, line
from widesweep.analysis.refine import draws, forecasts
from widesweep.analysis.refine.allocation import allocate
from widesweep.analysis.refine.candidates import Candidates, between_and_beyond
from widesweep.analysis.refine.draws import DrawsForecast
from widesweep.analysis.refine.forecasts import draw_forecasts
from widesweep.analysis.refine.law_forecast import PowerLawForecast
from widesweep.analysis.refine.spread import Future

WIDTHS, DEPTHS = np.array([32.0, 64.0, 128.0]), np.array([1.0, 2.0, 4.0])


def candidates(units: np.ndarray) -> Candidates:
    shape = units.shape
    return Candidates(
        WIDTHS, DEPTHS, np.ones(1), units[..., None], np.ones(shape), np.zeros(shape), np.ones(shape) > 0
    )


def pairs(noise: np.ndarray, units: np.ndarray, slope: float = 1.0, bend: float = 0.0) -> Pairs:
    """y = theory = x^slope on all pairs, or off it by a bend, with errors of so many units of draws."""
    m, depth = np.meshgrid(WIDTHS, DEPTHS, indexing="ij")
    x = (depth / m).ravel()
    theory = x**slope
    value = theory * (1.0 + bend * np.log(x / x.mean()) ** 2)
    error = theory * (noise / np.sqrt(units)).ravel()
    return Pairs(x, x, value, error, theory, depth.ravel().astype(np.int64))


def test_a_forecast_is_the_spread_of_the_weighted_line() -> None:
    """Second route: slopes of 4,000 drawn sets of pairs, by the law's own line."""
    generator = np.random.default_rng(5)
    noise, units = generator.uniform(0.1, 0.6, (3, 3)), generator.integers(100, 900, (3, 3)).astype(float)
    log_x = np.log(DEPTHS / WIDTHS[:, None])
    law = DrawsForecast("law", 1.0, log_x, noise, *3 * [np.zeros((3, 3))])
    error = (noise / np.sqrt(units)).ravel()
    values = log_x.ravel() + error * generator.standard_normal((4000, 9))
    slopes = [line(log_x.ravel(), value, error)[0] for value in values]
    half = float(law.half_width(units[..., None]))
    assert abs(1.96 * np.std(slopes) / half - 1.0) < 0.05
    assert abs(1.96 * np.std(slopes) / float(law.half_width(2.0 * units[..., None])) - 1.0) > 0.3


def test_the_spread_of_a_pair_is_found_again_and_carried_to_others() -> None:
    """Pairs keep their own ρ; one that was never drawn lies on the surface through the others."""
    noise = 0.3 * WIDTHS[:, None] ** 0.5 * DEPTHS**-0.4
    units = np.full((3, 3), 50.0)
    found = pairs(noise, units)
    missing = Pairs(*(each[1:] for each in vars(found).values()))
    units[0, 0] = 0.0
    law = draws.forecast("law", 1.0, (1.0, False, missing, "exact"), candidates(units))
    assert np.allclose(law.noise, noise, rtol=1e-6)


def test_heavy_tails_say_nothing_of_wide_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spread that is level at small L/m and explodes at large is level at new wide pairs."""
    widths, depths = 2.0 ** np.arange(4, 13), np.array([1.0, 2.0, 4.0, 8.0])
    ratio = depths / widths[:, None]
    there = (widths <= 1024)[:, None] & np.ones(ratio.shape, dtype=bool)
    units, noise = np.where(there, 50.0, 0.0), 0.01 * np.exp(5.0 * ratio)
    x, depth = ratio[there], np.broadcast_to(depths, ratio.shape)[there].astype(np.int64)
    found = Pairs(x, x, x, x * noise[there] / np.sqrt(50.0), x, depth)
    where = Candidates(widths, depths, np.ones(1), units[..., None], units, units, units >= 0)

    def off() -> float:
        law = draws.forecast("law", 1.0, (1.0, False, found, "exact"), where)
        return float(np.abs(np.log(law.noise / noise)).max())

    assert off() < 0.1
    monkeypatch.setattr(draws, "NEAR", 1e6)
    assert off() > 0.3


def test_pairs_off_their_prediction_are_told() -> None:
    """A bend of many errors stretches the interval for good; without it nothing is told."""
    noise, units = np.full((3, 3), 0.1), np.full((3, 3), 100.0)
    assert draws.missed(pairs(noise, units)) == ""
    assert "miss their prediction" in draws.missed(pairs(noise, units, bend=0.3))


def test_no_design_of_draws_is_cheaper() -> None:
    """Second route: of equal spreads and prices the two ends of x take all, as c-optimality has it."""
    noise, units = np.full((3, 3), 0.3), np.full((3, 3), 16.0)
    law = draws.forecast("law", 1.0, (1.0, False, pairs(noise, units), "exact"), candidates(units))
    where = candidates(units)
    found = allocate([law], where, [0.3 * float(law.half_width(where.seeds))])
    assert found is not None
    ends = found.added[0, 2] + found.added[2, 0]
    assert ends >= 0.9 * found.added.sum()


def test_laws_of_draws_have_prospects_on_a_sweep() -> None:
    """The interval forecast at the draws there is the law's own."""
    sweep = SyntheticSweep()
    known = summary(sweep)
    widths, depths = (np.array(axis, dtype=float) for axis in (sweep.widths, sweep.depths))
    shape = (len(widths), len(depths))
    where = Candidates(
        widths, depths, np.ones(1), np.full((*shape, 1), 16.0), np.ones(shape), np.zeros(shape),
        np.ones(shape) > 0,
    )  # fmt: skip
    law_results = [f for f in find_all(known) if f.name in ("cumulant_4", "weight_drift")]
    (found,) = draw_forecasts(known, law_results, where)
    assert found.name == "cumulant_4"
    assert found.forecast is not None
    assert abs(float(found.forecast.half_width(where.seeds)) / found.half_width - 1.0) < 1e-6


def test_pairs_on_one_line_are_a_law_of_one_long_axis() -> None:
    """(width, depth) as points: as all along one axis, and no shorter where spreads differ."""
    generator = np.random.default_rng(2)
    x, variance = generator.uniform(0, 3, 6), np.full((6, 1), 0.04)
    nothing = np.zeros((6, 1))
    flat = PowerLawForecast(
        "law", 1.0, x, variance, np.ones((6, 1)), np.eye(1), np.array([True]), np.zeros(6),
        Future(variance[None], nothing, nothing),
    )  # fmt: skip
    seeds = generator.integers(2, 9, (3, 2, 1)).astype(float)
    pairs = replace(flat, own_x=0.0)
    one, other = pairs.half_width(seeds), flat.half_width(seeds.reshape(6, 1, 1))
    assert abs(float(one) - float(other)) < EXACT
    uneven = generator.uniform(0.01, 0.1, (6, 1))
    assert float(replace(pairs, variance=uneven).half_width(seeds)) >= float(
        replace(flat, variance=uneven).half_width(seeds.reshape(6, 1, 1))
    )


def test_depths_grow_as_widths_do() -> None:
    """Between, and one and two doublings beyond, each a whole number."""
    assert between_and_beyond(np.array([1.0, 2.0, 8.0])).tolist() == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def test_a_new_width_has_the_condition_number_of_its_depth() -> None:
    """What measured kernels miss theory by goes on along the depth, in its logs, and is level beyond."""
    shift = np.array([[0.1, np.nan, 0.3], [0.1, np.nan, 0.3]])
    found = forecasts.shift_along_depth(shift, np.array([1.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 8.0]))
    assert np.allclose(found, [0.1, 0.2, 0.3, 0.3])
