"""Laws of the form y ∝ m^slope: a quantity of each finished cell against the width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from widesweep.analysis.fitting import fit
from widesweep.analysis.fitting.extrapolation import FINITE_SIZE, LARGEST_CORRECTION
from widesweep.analysis.laws.kinds.law_result import (
    CONSISTENT,
    Curve,
    LawResult,
    Plot,
    Series,
    judge,
    undecided,
)
from widesweep.analysis.laws.kinds.points import constant, rate_axis, rate_labels
from widesweep.analysis.laws.kinds.regime import (
    DRIFTING,
    NTK,
    ONE_EXPONENT,
    STABLE,
    Limit,
    Regime,
    depths,
    scaled,
    scaling,
)
from widesweep.analysis.reading.axes import spoken
from widesweep.analysis.reading.cell_summary import DONE, CellSummary
from widesweep.analysis.reading.derived import SOURCES
from widesweep.analysis.reading.sweep import cell_counts

Array = NDArray[np.float64]

FEWEST_WIDTHS = 3
SHALLOW = "standard, depth 1"
WORTH_SAYING = 0.4  # half-width of the slope with c left free beyond which it says nothing
DODGE = 0.03  # series stand a little apart, so that their bars can be told apart
SPREAD = 0.24  # but all of them together within a width's place


@dataclass(frozen=True)
class Exponent:
    """What theory expects of a law's exponent: the value in the limit, and what it allows at finite width.

    Attributes:
        expected: the exponent in the limit.
        allowed: lowest and highest exponent.
        title: the claim in words, where it differs from the law's.
        powers: of the finite-size factor 1 + c/√m that are allowed.
    """

    expected: float
    allowed: tuple[float, float]
    title: str = ""
    powers: int = 1


@dataclass(frozen=True)
class WidthLaw:
    """y = A m^slope for one variable, amplitudes free per depth and learning rate.

    Attributes:
        name: the law's name.
        title: one line for people.
        variable: the variable in /training whose last record is y.
        y_label: axis label with unit.
        expected: the exponent in the limit.
        allowed: exponents that theory allows as width grows, lowest and highest.
        rivals: other exponents worth a word.
        layer: the layer it is about, from 1; None where the variable has none.
        depth: the only depth that is fitted; None for all, each with its own amplitude.
        known_factor: finite-size factors that theory gives exactly; y is divided by them. Gets the
            summary and widths (w,), returns factors (w,) and a sentence, or None.
        extreme_factor: a factor between 1 and this one may be there: it widens what is allowed.
        elsewhere: exponents in other scalings than ntk, by name (see `regime.scaling`); "standard, depth 1"
            is for sweeps of that depth alone. Where there is none, the law does not speak.
        instead: the law that speaks of the scalings that this one leaves out, as a clause.
        limits: further limits of its regime.
        powers: of the finite-size factor 1 + c/√m that are allowed.
        zero: what it says of cells in which y is 0 throughout; empty where such cells are not its concern.
    """

    name: str
    title: str
    variable: str
    y_label: str
    expected: float
    allowed: tuple[float, float]
    rivals: tuple[float, ...] = ()
    layer: int | None = None
    depth: int | None = None
    known_factor: Callable[[CellSummary, Array], tuple[Array, str] | None] | None = None
    extreme_factor: Callable[[CellSummary, Array], tuple[Array, str] | None] | None = None
    elsewhere: Mapping[str, Exponent] = field(default_factory=dict)
    instead: str = ""
    limits: tuple[Limit, ...] = (DRIFTING, STABLE)
    powers: int = 1
    zero: str = ""

    @property
    def regime(self) -> Regime:
        """Of which sweeps and cells the law speaks."""
        names = tuple(name for name in self.elsewhere if name != SHALLOW)
        shallow = (ONE_EXPONENT,) if SHALLOW in self.elsewhere else ()
        return Regime((scaled((NTK, *names), self.instead), *shallow, *self.limits))

    def at(self, summary: CellSummary) -> WidthLaw:
        """The law with the exponent that theory expects of this sweep."""
        name = scaling(summary)
        shallow = depths(summary) == {1} and self.elsewhere.get(f"{name}, depth 1")
        found = shallow or self.elsewhere.get(name)
        if not found:
            return self
        title = found.title or self.title
        numbers = {name: getattr(found, name) for name in ("expected", "allowed", "powers")}
        return replace(self, **numbers, rivals=(), title=title)

    @property
    def reads(self) -> tuple[str, ...]:
        """What the law looks at, as group/variable of a store."""
        return SOURCES.get(self.variable, (f"training/{self.variable}",))

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding; none where the quantity was not measured or cannot move."""
        return self.at(summary).of_cells(summary)

    def of_cells(self, summary: CellSummary) -> list[LawResult]:
        """The same with this law's own exponent, whatever the scaling."""
        values = self._values(summary)
        if values is None:
            return []
        widths = np.asarray(summary.cells["width"].values, dtype=np.float64)  # type: ignore[index]  # `find` saw that cells are there
        finite = np.isfinite(values)
        status = summary.cells["status"]  # type: ignore[index]  # `find` saw that cells are there
        states = status.sel(depth=[self.depth] if self.depth else slice(None)).values
        finished = bool((states == DONE).any())
        if finished and not (values[finite] != 0).any():
            return self._exact(int(finite.sum()))
        values, censored = without_zeros(values)
        present = np.isfinite(values).any((1, 2, 3))
        missing = " ".join(filter(None, (censored, shortfall(states, int(np.isfinite(values).sum())))))
        if present.sum() < FEWEST_WIDTHS:
            reason = f"{present.sum()} widths have cells to fit; {FEWEST_WIDTHS} are needed. {missing}"
            return [
                undecided(
                    self.name, self.title, self.expected, reason.strip(), int(np.isfinite(values).sum())
                )
            ]
        return [self._fit(summary, widths, values, missing)]

    def _exact(self, points: int) -> list[LawResult]:
        """What y = 0 in every cell says; nothing where it means that y was not measured or cannot move."""
        if not self.zero or not points:
            return []
        found = undecided(self.name, self.title, self.expected, self.zero, points)
        return [replace(found, verdict=CONSISTENT)]

    def _values(self, summary: CellSummary) -> Array | None:
        """Last records (width, depth, seed, rate); None where there is no such variable or layer."""
        cells = summary.cells
        if cells is None or self.variable not in cells:
            return None
        values = cells[self.variable]
        if self.layer is not None:
            if self.layer not in values["layer"].values:
                return None
            values = values.sel(layer=self.layer)
        values = values.transpose("width", "depth", "seed", "learning_rate")
        if self.depth is not None:
            values = values.sel(depth=[self.depth])
        return np.asarray(values.values, dtype=np.float64)

    def log_values(self, summary: CellSummary) -> Array | None:
        """What the slope is fitted to: log y less the log of its known factor, (width, depth, seed, rate).

        NaN where there is nothing to fit; None where the quantity was not measured.
        """
        values = self._values(summary)
        if values is None:
            return None
        widths = np.asarray(summary.cells["width"].values, dtype=np.float64)  # type: ignore[index]  # `find` saw that cells are there
        return self._logs(summary, widths, without_zeros(values)[0])

    def _logs(self, summary: CellSummary, widths: Array, values: Array) -> Array:
        known = self.known_factor(summary, widths) if self.known_factor else None
        factor = known[0] if known else np.ones(len(widths))
        return np.asarray(np.log(values) - np.log(factor)[:, None, None, None])

    def _fit(self, summary: CellSummary, widths: Array, values: Array, missing: str) -> LawResult:
        known = self.known_factor(summary, widths) if self.known_factor else None
        log_y = self._logs(summary, widths, values)
        weight = np.isfinite(values).sum(2).astype(np.float64)
        log_m = np.broadcast_to(np.log(widths)[:, None, None], weight.shape)
        estimator = fit.power_law(log_m, weight)
        r_squared = fit.r_squared(log_m, fit.means_over_seeds(log_y), weight)
        estimate = fit.bootstrap(log_y, estimator)
        low, high, sentence = self._allowed(summary, widths, weight, estimator)
        verdict, power = judge(estimate, low, high)
        sentences = [power, sentence]
        if known:
            raw = float(estimator(fit.means_over_seeds(np.log(values))))
            sentences.append(f"{known[1]}; without that the slope is {raw:.3f}.")
        sentences += [
            *self._comparisons(log_y, widths, weight, estimate),
            self._scope(),
            _pooled(summary),
            missing,
        ]
        note = " ".join(s for s in sentences if s)
        plot = self._plot(summary, widths, log_y, estimator, estimate.value)
        return LawResult(
            self.name, self.title, estimate, self.expected, low, high, r_squared,
            int(np.isfinite(values).sum()), verdict, note, plot,
        )  # fmt: skip

    def _allowed(
        self, summary: CellSummary, widths: Array, weight: Array, estimator: fit.Estimator
    ) -> tuple[float, float, str]:
        """Slopes that theory allows on these widths: the limit, times 1 + c/√m, times an extreme's factor."""
        bend = finite_size_bend(widths, float(widths.min()))
        bend = (1.0 + bend) ** self.powers - 1.0
        shifts = [_slope_of(estimator, f, weight) for f in (1.0 + bend, 1.0 / (1.0 + bend))]
        low, high = self.allowed[0] + min(shifts), self.allowed[1] + max(shifts)
        opening = ""
        extreme = self.extreme_factor(summary, widths) if self.extreme_factor else None
        if extreme is not None:
            shift = _slope_of(estimator, extreme[0], weight)
            low, high = low + min(shift, 0.0), high + max(shift, 0.0)
            opening = f"{extreme[1]} shifts the slope by up to {shift:+.2f}. "
        factor = "1 + c/√m" if self.powers == 1 else f"(1 + c/√m)^{self.powers}"
        sentence = (
            f"{opening}Allowed on these widths: {low:.2f} to {high:.2f}, the limit with a finite-size "
            f"factor {factor} or its inverse, up to {100 * bend.max():.0f} % at m = {widths.min():.0f}."
        )
        return low, high, sentence

    def _comparisons(self, log_y: Array, widths: Array, weight: Array, estimate: fit.Estimate) -> list[str]:
        """The slope with c/√m left free, and how far off the rivals are."""
        sentences = []
        if np.isfinite(log_y).any((1, 2, 3)).sum() > FEWEST_WIDTHS:
            log_m, bend = np.log(widths)[:, None, None], (widths**-0.5)[:, None, None]
            free = fit.bootstrap(log_y, fit.corrected_power_law(log_m, bend, weight))
            if free.half_width <= WORTH_SAYING:
                sentences.append(f"With c left free the slope is {free.value:.2f} ± {free.half_width:.2f}.")
        if estimate.error > 0:
            away = [
                f"{rival:g} by {abs(estimate.value - rival) / estimate.error:.0f}" for rival in self.rivals
            ]
            sentences.append(f"Rival slopes are off: {', '.join(away)} standard errors." if away else "")
        return sentences

    def _scope(self) -> str:
        return f"Fitted at depth {self.depth}." if self.depth is not None else ""

    def _plot(
        self, summary: CellSummary, widths: Array, log_y: Array, estimator: fit.Estimator, slope: float
    ) -> Plot:
        """Geometric means over seeds with 95 % bars, the fit of each depth, the theory's slope."""
        cells = summary.cells
        assert cells is not None
        depths = [self.depth] if self.depth is not None else [int(d) for d in cells["depth"].values]
        rates = rate_labels(cells)
        groups = [
            (d, r)
            for d in range(len(depths))
            for r in range(len(rates))
            if np.isfinite(log_y[:, d, :, r]).any()
        ]
        series, apart = [], min(DODGE, SPREAD / max(len(groups) - 1, 1))
        for i, (d, r) in enumerate(groups):
            of = (("depth", float(depths[d])), *((name, float(v[r])) for name, v in rate_axis(cells)))
            shift = 1.0 + apart * (i - (len(groups) - 1) / 2)
            label, values, hollow = f"depth {depths[d]}{rates[r]}", log_y[:, d, :, r], r % 2 == 1
            series.append(point_series(label, ("width", widths), values, depths[d], hollow, shift, of))
        curves = [fitted_curve(widths, log_y[:, d], slope, depths[d]) for d in sorted({d for d, _ in groups})]
        ends = np.array([widths.min(), widths.max()])
        for exponent in sorted({self.expected, *self.allowed}, reverse=True):
            kind = "theory" if exponent == self.expected else "guide"
            below = min((float((s.low / s.x**exponent).min()) for s in series), default=1.0)
            guide = 0.85 * below * ends**exponent
            curves.append(Curve(f"theory: slope {exponent:g}".replace("-", "−"), ends, guide, kind))
        return Plot("width m (neurons per layer)", self.y_label, tuple(series), tuple(curves))


def without_zeros(values: Array) -> tuple[Array, str]:
    """Positive values alone, and what that leaves out, in words.

    A seed at 0 takes its (width, depth, rate) along: the other seeds would be those that happened to move.

    Args:
        values: shape (width, depth, seed, rate).

    >>> values = np.array([[[[0.0], [2.0]], [[1.0], [3.0]]]])
    >>> left, text = without_zeros(values)
    >>> left[0, :, 0, 0], text
    (array([nan,  1.]), 'Some seeds are at 0: 2 cells of their shapes are left out.')
    """
    zero = (values == 0).any(2, keepdims=True) & np.isfinite(values)
    lost = int(zero.sum())
    text = f"Some seeds are at 0: {lost} cells of their shapes are left out."
    kept = np.where(np.isfinite(values) & (values > 0) & ~zero, values, np.nan)
    return kept, text if lost else ""


def finite_size_bend(widths: Array, smallest: float) -> Array:
    """|c|/√m, the largest finite-size correction of 1 + c/√m that is allowed at each width.

    >>> finite_size_bend(np.array([64.0, 256.0]), 64.0)
    array([0.375 , 0.1875])
    """
    return np.minimum(FINITE_SIZE / np.sqrt(widths), LARGEST_CORRECTION * np.sqrt(smallest / widths))


def _pooled(summary: CellSummary) -> str:
    """What becomes of variants, in words; empty without such an axis."""
    variants = spoken(summary.cells)
    return f"{variants} are pooled, each with its own amplitude." if variants else ""


def point_series(
    label: str,
    axis: tuple[str, Array],
    log_y: Array,
    depth: int,
    hollow: bool,
    shift: float,
    of: tuple[tuple[str, float], ...],
) -> Series:
    """Geometric means over seeds (axis 1) with their bars, where there are any.

    Args:
        label: of the legend.
        axis: name and values of x, shape (x,).
        log_y: logs of the cells, shape (x, seed).
        depth: gives the colour.
        hollow: instead of filled.
        shift: of x in the figure, a factor.
        of: coordinates that all points share.
    """
    ok = np.isfinite(log_y).any(1)
    mean, half = geometric_bars(log_y[ok])
    shared = tuple(constant(name, value, int(ok.sum())) for name, value in of)
    seeds = np.isfinite(log_y[ok]).sum(1).astype(np.float64)
    behind = ((axis[0], axis[1][ok]), *shared, ("seeds", seeds))
    low, high = np.exp(mean - half), np.exp(mean + half)
    return Series(label, axis[1][ok], np.exp(mean), low, high, depth, hollow, shift, behind)


def fitted_curve(widths: Array, log_y: Array, slope: float, depth: int) -> Curve:
    """The fit at one depth, through the mean of its points; log_y is (width, seed, rate)."""
    flat = log_y.reshape(len(widths), -1)
    ok = np.isfinite(flat).any(1)
    amplitude = np.mean(np.nanmean(flat[ok], axis=1) - slope * np.log(widths[ok]))
    return Curve("", widths[ok], np.exp(amplitude + slope * np.log(widths[ok])), "fit", depth)


def _slope_of(estimator: fit.Estimator, factor: Array, weight: Array) -> float:
    """By how much a factor of each width shifts the fitted slope."""
    return float(estimator(np.broadcast_to(np.log(factor)[:, None, None], weight.shape)))


def geometric_bars(log_values: Array) -> tuple[Array, Array]:
    """Mean over seeds and half of the 95 % interval (Student's t), in the logs; (groups, seeds) → (groups,).

    >>> mean, half = geometric_bars(np.array([[0.0, 2.0]]))
    >>> float(mean[0]), round(float(half[0]), 1)
    (1.0, 12.7)
    """
    count = np.isfinite(log_values).sum(1)
    mean = np.nansum(log_values, axis=1) / np.maximum(count, 1)
    square = np.nansum((log_values - mean[:, None]) ** 2, axis=1)
    error = np.sqrt(square / np.maximum(count - 1, 1) / np.maximum(count, 1))
    return mean, np.where(count > 1, stats.t.ppf(0.975, np.maximum(count - 1, 1)) * error, 0.0)


def shortfall(status: NDArray[np.int8], used: int) -> str:
    """What is missing from the grid, in words; empty where nothing is."""
    counts = cell_counts(status)
    missing = [f"{counts[name]} {name}" for name in ("diverged", "failed", "pending") if counts[name]]
    return (
        f"{used} of {sum(counts.values())} cells are in the fit; left out: {', '.join(missing)}."
        if missing
        else ""
    )
