"""Laws of random networks: a quantity of each (width, depth) against L/n, or against the depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge, undecided
from widesweep.analysis.laws.kinds.network_pairs import Array, Logs, Pairs, line, pairs_of
from widesweep.analysis.laws.kinds.points import constant
from widesweep.analysis.laws.kinds.regime import AT_START, Regime
from widesweep.analysis.reading.cell_summary import CellSummary

FEWEST_POINTS = 3
EXACT_TOLERANCE = 0.01  # in the exponent, per power of L/n
NEXT_ORDER = 5.0  # |c| of the factor 1 + c·L/n beyond a leading-order prediction
HEAVY_TAIL = 0.3
VARIANCE = 5.0  # of log q of a ReLU network, in units of L/n; other activations have less
EXACT, LEADING, ORDER_ALONE = "exact", "leading order", "order alone"


@dataclass(frozen=True)
class RatioLaw:
    """y ∝ x^expected over the (width, depth) pairs of random networks.

    Attributes:
        name: the law's name.
        title: one line for people.
        expected: the exponent in the limit.
        y_label: axis label.
        variable: the quantity in /initialization, beside its standard error.
        predicted: its prediction in /theory; None where theory gives the exponent alone.
        along_depth: x is the output's layer number L + 1 and not L/n.
    """

    name: str
    title: str
    expected: float
    y_label: str
    variable: str
    predicted: str | None
    along_depth: bool = False

    @property
    def regime(self) -> Regime:
        """All random networks."""
        return Regime((AT_START,))

    @property
    def reads(self) -> tuple[str, ...]:
        """What the law looks at, as group/variable of a store."""
        measured = f"initialization/{self.variable}"
        return (measured,) if self.predicted is None else (measured, f"theory/{self.predicted}")

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding; none where the quantity was not measured, or nothing is predicted of it.

        >>> law = RatioLaw("a", "a", 1.0, "a", "a", None)
        >>> law.find(CellSummary({}, None, None, None, xr.Dataset()))
        []
        """
        found = self.pairs(summary)
        return [] if found is None else [self.of_pairs(*found, fewest_draws(summary))]

    def pairs(self, summary: CellSummary) -> tuple[Pairs, str] | None:
        """The pairs that the law is about, and how their prediction was made; None where there are none."""
        group, theory = summary.initialization, summary.theory
        if group is None or self.variable not in group:
            return None
        if self.predicted is not None and (
            self.predicted not in theory or not np.isfinite(theory[self.predicted].values).any()
        ):
            return None
        return self._pairs(group, theory), self._kind(theory)

    def _kind(self, theory: xr.Dataset) -> str:
        if self.predicted is None:
            return ORDER_ALONE
        return str(theory[self.predicted].attrs.get("approximation", EXACT))

    def _pairs(self, group: xr.Dataset, theory: xr.Dataset) -> Pairs:
        predicted = theory[self.predicted] if self.predicted is not None else None
        error = group[f"{self.variable}_standard_error"]
        found = pairs_of(group, group[self.variable], error, predicted, along_depth=self.along_depth)
        found = found if predicted is not None else found.on_a_power_law(self.expected)
        if self.along_depth:
            return found
        heavy = np.expm1(VARIANCE * found.ratio) if predicted is None else found.theory
        return found.sampled(2, heavy, draws_of(group))  # a second moment, like the variance of q

    def of_pairs(self, pairs: Pairs, kind: str, draws: float) -> LawResult:
        """What pairs say of the law.

        Args:
            pairs: measured and predicted values.
            kind: how the prediction was made.
            draws: of each pair, 0 where unknown.
        """
        count = int(pairs.resolved.sum())
        if count < FEWEST_POINTS or len(np.unique(pairs.x[pairs.resolved])) < 2:
            reason = f"Draws resolve {count} (width, depth) pairs; {FEWEST_POINTS} are needed."
            return undecided(self.name, self.title, self.expected, reason, count)
        logs = Logs(pairs)
        estimate, r_squared = logs.estimate()
        low, high, allowed = _allowed(kind, logs, self.expected)
        verdict, power = judge(estimate, low, high)
        agreement = _agreement(pairs) if kind != ORDER_ALONE else ()
        note = " ".join(s for s in (power, allowed, *agreement, _tails(draws, pairs)) if s)
        return LawResult(
            self.name, self.title, estimate, self.expected, low, high, r_squared, count, verdict, note,
            self._plot(pairs, logs, estimate.value, kind), _numbers(pairs, logs, estimate.value, kind),
        )  # fmt: skip

    def _plot(self, pairs: Pairs, logs: Logs, slope: float, kind: str) -> Plot:
        """All pairs on one curve, the prediction through them, the fit."""
        depth, resolved, x, y = pairs.depth, pairs.resolved, logs.x, logs.y
        series = []
        for each in np.unique(depth[resolved]):
            here = resolved & (depth == each)
            value, half = np.abs(pairs.value[here]), 1.96 * np.nan_to_num(pairs.error[here])
            low = np.maximum(value - half, 0.05 * value)
            width = np.rint(depth[here] / pairs.ratio[here])
            of = (("width", width), constant("depth", each, len(width)))
            series.append(Series(f"depth {each}", pairs.x[here], value, low, value + half, int(each), of=of))
        ends = np.exp(np.array([x.min(), x.max()]))
        fitted = np.exp(np.mean(y - slope * x)) * ends**slope
        guide = 0.5 * np.exp(y[np.argmin(x)]) * (ends / ends[0]) ** self.expected
        label = f"limit: slope {self.expected:g}".replace("-", "−")
        curves = [Curve("fit", ends, fitted, "fit"), Curve(label, ends, guide, "guide")]
        if kind != ORDER_ALONE:
            curves += self._theory_curves(pairs)
        x_label = "layer of the output, $L + 1$" if self.along_depth else r"depth over width, $L/n$"
        return Plot(x_label, self.y_label, tuple(series), tuple(curves))

    def _theory_curves(self, pairs: Pairs) -> list[Curve]:
        """The prediction: through each depth's pairs, or through each width's along the depth."""
        width = np.rint(pairs.depth / pairs.ratio)
        group, name = (width, "width") if self.along_depth else (pairs.depth, "depth")
        curves = []
        for place, each in enumerate(np.unique(group[pairs.resolved])):
            here = np.flatnonzero(pairs.resolved & (group == each))
            here = here[np.argsort(pairs.x[here])]
            label = "" if place else f"theory, each {name}"
            curves.append(Curve(label, pairs.x[here], np.abs(pairs.theory[here]), "theory"))
        return curves


def draws_of(group: xr.Dataset) -> Array:
    """Draws of each pair, as flat as `Pairs`; 0 where unknown.

    >>> draws_of(xr.Dataset({"draws": (("width", "depth"), [[7, 8]])})).tolist()
    [7.0, 8.0]
    """
    if "draws" not in group:
        return np.zeros(1)
    draws = group["draws"]
    fewest = draws.min([name for name in draws.dims if name not in ("width", "depth")])
    return np.asarray(fewest.transpose("width", "depth").values.ravel(), dtype=np.float64)


def fewest_draws(summary: CellSummary) -> float:
    """Fewest draws of a pair that is done; 0 where unknown."""
    draws = np.zeros(0) if summary.initialization is None else draws_of(summary.initialization)
    return float(draws[draws > 0].min()) if (draws > 0).any() else 0.0


def _agreement(pairs: Pairs) -> tuple[str, str]:
    """How the pairs agree with their predictions one by one, and how many are left out of the line."""
    within, known = int((np.abs(pairs.score) <= 5).sum()), int(pairs.known.sum())
    unresolved = known - int(pairs.resolved.sum())
    return (
        f"{within} of {known} pairs lie within 5 standard errors of the prediction (largest |z| "
        f"{np.nanmax(np.abs(pairs.score)):.1f}).",
        f"{unresolved} pairs are too small for their draws." if unresolved else "",
    )


def _numbers(pairs: Pairs, logs: Logs, slope: float, kind: str) -> tuple[tuple[str, str], ...]:
    """Rows for the report."""
    scatter = ("scatter about one curve (log)", f"{np.std(logs.y - slope * logs.x):.3f}")
    if kind == ORDER_ALONE:
        return (scatter,)
    return (
        ("slope of the prediction on these pairs", f"{logs.bent:.4f}"),
        scatter,
        ("largest |z| of a pair", f"{np.nanmax(np.abs(pairs.score)):.2f}"),
    )


def _allowed(kind: str, logs: Logs, expected: float) -> tuple[float, float, str]:
    """Slopes that theory allows on these pairs: the prediction's, with what it leaves open."""
    bent = logs.bent
    powers = max(abs(expected), 1.0)
    if kind == EXACT:
        slack = EXACT_TOLERANCE * powers
        text = f"The exact values have slope {bent:.3f} on these pairs (limit {expected:g})."
        return bent - slack, bent + slack, text
    shift = abs(line(logs.x, next_order(logs.ratio), logs.error)[0]) * powers
    known = "The leading order has" if kind != ORDER_ALONE else "Theory gives the order alone,"
    text = (
        f"{known} slope {bent:.3f} on these pairs (limit {expected:g}); the next order, "
        f"a factor 1 + c·L/n, is allowed ± {shift:.2f}."
    )
    return bent - shift, bent + shift, text


def next_order(ratio: Array) -> Array:
    """log(1 + |c| L/n), the largest factor that a leading order leaves open, at most log 2.

    >>> next_order(np.array([0.1, 1.0])).round(3)
    array([0.405, 0.693])
    """
    return np.asarray(np.log1p(np.minimum(NEXT_ORDER * ratio, 1.0)))


def _tails(draws: float, pairs: Pairs) -> str:
    """A warning where the draws are too few for the moment's heavy tail."""
    ratio = pairs.ratio[pairs.known]
    if not draws or not ratio.size or np.sqrt(np.exp(20.0 * ratio.max()) / draws) <= HEAVY_TAIL:
        return ""
    return f"At L/n = {ratio.max():.2g} tails are heavy: errors are themselves uncertain."
