"""Laws of random networks: their intervals with other numbers of draws, or why draws would not help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from widesweep.analysis.laws import cumulants, depth_criticality
from widesweep.analysis.laws.kinds.network_pairs import DEGREES, RESOLVED, Logs, Pairs
from widesweep.analysis.laws.kinds.ratio_law import EXACT, next_order
from widesweep.analysis.laws.tables import RATIO_LAWS
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.refine.candidates import Candidates

Array = NDArray[np.float64]

REACH = 1.96 * float(np.sqrt(1.0 + 4.0 / DEGREES))  # of an interval, in standard errors, as `Logs` has it
NEAR = float(np.log(4.0))  # in log L/m: pairs whose spread speaks for that of a new one
RANK = 1e-6  # singular values below this share of the largest are none
SURE = 1e-3  # probability below which pairs that miss their prediction are no accident
DRAWS, SEED = 400, 20_040_212
MEDIAN_TO_SPREAD = 1.4826  # of a normal's absolute deviations
OWN_DOUBT = 1.0 / float(np.sqrt(2.0 * DEGREES))  # of log ρ from as many groups of draws


@dataclass(frozen=True)
class DrawsForecast:
    """The slope of log |y| on log x over pairs of width and depth, each weighted by its draws.

    Var log |y| = ρ²/n for n units of draws, so Var(slope) = 1/Σ w x̃² with w = n/ρ² and x̃ = log x less its
    weighted mean. A pair counts once its quantity is five standard errors away from 0: n > 25 ρ².

    Attributes:
        name: the law's name.
        now: half-width of its interval as measured.
        log_x: log of L/n, or of L + 1, shape (width, depth).
        noise: ρ, relative standard deviation of one unit of draws, shape (width, depth).
        bend: log of the next-order factor that theory leaves open, shape (width, depth); 0 where it is exact.
        there: units of draws that ρ was measured with, shape (width, depth); 0 where it was not.
        doubt: standard deviation of log ρ, shape (width, depth).
    """

    name: str
    now: float
    log_x: Array
    noise: Array
    bend: Array
    there: Array
    doubt: Array

    def half_width(self, seeds: Array) -> Array:
        """Half of the 95 % interval with so many units of draws (…, width, depth, 1); infinite without two x.

        >>> log_x, ones = np.log([[1.0], [2.0]]), np.ones((2, 1))
        >>> law = DrawsForecast("a", 1.0, log_x, 0.1 * ones, *3 * [0.0 * ones])
        >>> float(law.half_width(100.0 * ones[..., None]).round(3))
        0.041
        """
        return self._half_width(seeds, self.noise)

    def possible_half_widths(self, seeds: Array) -> Array:
        """Half-widths that the next analysis may measure with these units (width, depth, 1), shape (draws,).

        Groups of draws tell ρ anew, the less so, the more of the draws were there before. Pairs that miss
        their prediction, which stretches the interval, go on missing it.
        """
        new = 1.0 - np.minimum(self.there / np.maximum(seeds[..., 0], 1e-300), 1.0)
        width = np.sqrt(new * (self.doubt**2 + OWN_DOUBT**2))
        unit = np.random.default_rng(SEED).standard_normal((DRAWS, *width.shape))
        stretch = max(1.0, self.now / float(self.half_width(self.there[..., None])))
        return stretch * self._half_width(seeds, self.noise * np.exp(width * unit))

    def _half_width(self, seeds: Array, noise: Array) -> Array:
        weight = self._weight(seeds, noise)
        norm = (weight * self._centred(weight) ** 2).sum((-1, -2))
        return np.asarray(np.where(norm > 0, REACH / np.sqrt(np.where(norm > 0, norm, 1.0)), np.inf))

    def slack(self, seeds: Array) -> Array:
        """By how much the next order may shift the slope, |Σ w x̃ log f| / Σ w x̃²."""
        weight = self._weight(seeds, self.noise)
        centred = self._centred(weight)
        norm = (weight * centred**2).sum((-1, -2))
        shift = (weight * centred * self.bend).sum((-1, -2))
        return np.asarray(np.abs(shift / np.where(norm > 0, norm, np.nan)))

    @staticmethod
    def _weight(seeds: Array, noise: Array) -> Array:
        units = seeds[..., 0]
        return np.asarray(np.where(units > (RESOLVED * noise) ** 2, units / noise**2, 0.0))

    def _centred(self, weight: Array) -> Array:
        total = np.maximum(weight.sum((-1, -2), keepdims=True), 1e-300)
        return np.asarray(self.log_x - (weight * self.log_x).sum((-1, -2), keepdims=True) / total)


def drawn_laws(summary: CellSummary) -> dict[str, tuple[float, bool, Pairs, str]]:
    """Of each law measured on draws: its exponent, whether x is a depth, its pairs, how they are predicted.

    >>> import xarray as xr
    >>> drawn_laws(CellSummary({}, None, None, None, xr.Dataset()))
    {}
    """
    laws = [law for law in RATIO_LAWS.values() if law.predicted is not None]
    laws += depth_criticality.laws(summary)
    found = [(law, *pairs) for law in laws if (pairs := law.pairs(summary)) is not None]
    found += cumulants.pairs(summary)
    return {law.name: (law.expected, law.along_depth, pairs, kind) for law, pairs, kind in found}


def missed(pairs: Pairs) -> str:
    """Whether pairs miss their prediction by more than their errors; empty: no sign of it."""
    chi, degrees = Logs(pairs).misfit()
    if degrees < 1 or float(stats.chi2.sf(chi, degrees)) >= SURE:
        return ""
    return (
        f"Pairs miss their prediction by more than their errors (χ² = {chi:.0f} for {degrees} degrees of "
        "freedom), and the interval is stretched by that: more draws would not shorten it. Take pairs of "
        "smaller L/n."
    )


def forecast(name: str, now: float, law: tuple[float, bool, Pairs, str], where: Candidates) -> DrawsForecast:
    """A law's interval by numbers of draws at the candidates.

    A pair that is drawn has its own ρ; of the others log ρ lies on a plane over log m and log L through those
    of like L/m: at small L/m a cumulant is small against the spread of what it is made of, at large L/m tails
    are heavy, and neither end speaks for the other.

    Args:
        name: the law's name.
        now: half-width of its interval as measured.
        law: as `drawn_laws` gives it.
        where: candidates, whose `seeds` are units of draws.
    """
    expected, along_depth, pairs, kind = law
    m, depth = np.meshgrid(where.widths, where.depths, indexing="ij")
    x = np.log(depth + 1.0 if along_depth else depth / m)
    bend = np.zeros(m.shape) if kind == EXACT else next_order(depth / m) * max(abs(expected), 1.0)
    noise, known, doubt = _noise(pairs, where)
    return DrawsForecast(name, now, x, noise, bend, np.where(known, where.seeds[..., 0], 0.0), doubt)


def _noise(pairs: Pairs, where: Candidates) -> tuple[Array, NDArray[np.bool_], Array]:
    """ρ, where it was measured, and the standard deviation of its log: of a plane, that of pairs left out."""
    noise = np.full((len(where.widths), len(where.depths)), np.nan)
    width = np.rint(pairs.depth / pairs.ratio)
    good = pairs.known & (pairs.error > 0)
    for i in np.flatnonzero(good):
        w, d = np.searchsorted(where.widths, width[i]), np.searchsorted(where.depths, pairs.depth[i])
        noise[w, d] = pairs.error[i] / abs(pairs.theory[i]) * np.sqrt(where.seeds[w, d, 0])
    known = np.isfinite(noise) & (noise > 0)
    log_m, log_l = np.meshgrid(np.log(where.widths), np.log(where.depths), indexing="ij")
    table, ratio = np.stack([log_m, log_l], axis=-1), log_l - log_m

    def on_plane(others: NDArray[np.bool_], place: tuple[int, int]) -> float:
        weight = np.exp(-0.5 * ((ratio[others] - ratio[place]) / NEAR) ** 2)
        return _plane(table[others], np.log(noise[others]), weight, table[place])

    left, doubt = [], np.full(noise.shape, OWN_DOUBT)
    for w, d in np.argwhere(known) if known.sum() > 1 else ():
        others = known.copy()
        others[w, d] = False
        left.append(on_plane(others, (w, d)) - np.log(noise[w, d]))
    for w, d in np.argwhere(~known):
        noise[w, d] = np.exp(on_plane(known, (w, d)))
        doubt[w, d] = max(OWN_DOUBT, float(np.median(np.abs(left))) * MEDIAN_TO_SPREAD) if left else 1.0
    return noise, known, doubt


def _plane(x: Array, y: Array, weight: Array, at: Array) -> float:
    """A weighted plane's value; level in directions that the points leave free."""
    centre, mean = (np.average(each, axis=0, weights=weight) for each in (x, y))
    root = np.sqrt(weight)
    slopes = np.linalg.lstsq((x - centre) * root[:, None], (y - mean) * root, rcond=RANK)[0]
    return float(mean + (at - centre) @ slopes)
