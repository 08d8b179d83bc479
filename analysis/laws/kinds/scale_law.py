"""Laws of the form y ∝ α^slope: a quantity of each finished cell against the output scale, width fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from widesweep.analysis.fitting import fit
from widesweep.analysis.laws.kinds.law_result import Curve, LawResult, Plot, Series, judge, undecided
from widesweep.analysis.laws.kinds.points import rate_labels, rate_point
from widesweep.analysis.laws.kinds.regime import BY_DESCENT, Limit, Regime, stability_of_one
from widesweep.analysis.laws.kinds.width_law import fitted_curve, point_series, shortfall
from widesweep.analysis.reading.axes import pooled
from widesweep.analysis.reading.cell_summary import DONE, CellSummary
from widesweep.analysis.reading.sweep import section

Array = NDArray[np.float64]

SCALE = "output_scale"
DIMS = ("width", "depth", "seed", SCALE, "learning_rate")
FEWEST_SCALES = 3
EXPECTED = -1.0
CORRECTION = (
    5.0  # |c|·α₀ of the factor 1 + c/α, in relative changes of the kernel at the smallest α₀: see `_allowed`
)
LARGEST_CORRECTION = 0.5
STABLE = 2.0  # η λ_max from which the linearised model diverges
CONVERGED = 0.01  # share of ‖r(0)‖ below which training has ended, where α changes its pace
UNCENTERED = "The model is not centred: its first residual grows with α, and theory gives no exponent."


@dataclass(frozen=True)
class ScaleLaw:
    """y = A/α for one variable of the centred model, amplitudes free per width, depth and learning rate.

    The centred model α(f − f₀) fits y with a step of f that falls like 1/α: on the path of the linearised
    model θ − θ₀ is 1/α times what it is at α = 1, at every ηα²λ·step, and what is smooth in θ − θ₀ follows.

    Attributes:
        name: the law's name.
        title: one line for people.
        variable: the variable in /training whose last record is y.
        y_label: axis label with unit.
        limits: of its regime.

    Source: Chizat, Oyallon and Bach 2018, arXiv:1812.07956, section 2.
    """

    name: str
    title: str
    variable: str
    y_label: str
    limits: tuple[Limit, ...] = (BY_DESCENT,)

    @property
    def regime(self) -> Regime:
        """Of which sweeps and cells the law speaks."""
        return Regime(self.limits)

    @property
    def reads(self) -> tuple[str, ...]:
        """What the law looks at, as group/variable of a store."""
        return (f"training/{self.variable}",)

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding; none where α is no axis, or the quantity was not measured or cannot move.

        >>> ScaleLaw("name", "title", "loss", "y").find(CellSummary({}, None, None, None, xr.Dataset()))
        []
        """
        summary = pooled(summary, kept=SCALE)
        cells = summary.cells
        if cells is None or SCALE not in cells.dims or self.variable not in cells:
            return []
        values = np.asarray(cells[self.variable].transpose(*DIMS).values, dtype=np.float64)
        status = cells["status"].transpose(*DIMS).values
        if (status == DONE).any() and not (np.nan_to_num(values) > 0).any():
            return []
        values = np.where(values > 0, values, np.nan)
        values, unfinished = _on_equal_paths(summary, cells, values)
        used = int(np.isfinite(values).sum())
        reasons = " ".join(s for s in (unfinished, shortfall(status, used)) if s)
        present = int(np.isfinite(values).any((0, 1, 2, 4)).sum())
        if present < FEWEST_SCALES:
            reason = f"{present} output scales have cells to fit; {FEWEST_SCALES} are needed. {reasons}"
            return [undecided(self.name, self.title, EXPECTED, reason.strip(), used)]
        return [self._fit(summary, cells, values, reasons)]

    def _fit(self, summary: CellSummary, cells: xr.Dataset, values: Array, reasons: str) -> LawResult:
        alpha = np.asarray(cells[SCALE].values, dtype=np.float64)
        line = _Line(alpha, values)
        estimate = fit.bootstrap(line.log_y, line.slope)
        centered = bool(summary.network.get("centered", False))
        low, high, allowed = _allowed(cells, alpha, line) if centered else (np.nan, np.nan, UNCENTERED)
        verdict, power = judge(estimate, low, high) if centered else ("inconclusive", "")
        away = f"A slope of 0 is off by {abs(estimate.value) / estimate.error:.0f} standard errors."
        sentences = (power, allowed, away if estimate.error > 0 and centered else "", reasons)
        return LawResult(
            self.name,
            self.title,
            estimate,
            EXPECTED if centered else np.nan,
            low,
            high,
            line.r_squared,
            int(np.isfinite(values).sum()),
            verdict,
            " ".join(s for s in sentences if s),
            self._plot(cells, alpha, values, estimate.value, guide=centered),
        )

    def _plot(
        self, cells: xr.Dataset, alpha: Array, values: Array, slope: float, *, guide: bool
    ) -> Plot:  # one series for each width, depth and learning rate
        widths, depths, rates = cells["width"].values, cells["depth"].values, rate_labels(cells)
        series: list[Series] = []
        curves: list[Curve] = []
        for w, d, r in np.ndindex(len(widths), len(depths), len(rates)):
            log_y = np.log(values[w, d, :, :, r]).T
            if np.isfinite(log_y).any():
                label = f"depth {depths[d]}"
                label += f", m = {widths[w]}" if len(widths) > 1 else ""
                label += rates[r]
                of = (("width", float(widths[w])), ("depth", float(depths[d])), *rate_point(cells, r))
                depth, hollow = int(depths[d]), r % 2 == 1
                series.append(point_series(label, ("α", alpha), log_y, depth, hollow, 1.0, of))
                curves.append(fitted_curve(alpha, log_y[..., None], slope, int(depths[d])))
        if guide:
            ends = np.array([alpha.min(), alpha.max()])
            below = min(float((s.low * s.x).min()) for s in series)
            curves.append(Curve("theory: slope −1", ends, 0.85 * below / ends))
        return Plot("output scale α", self.y_label, tuple(series), tuple(curves))


class _Line:
    """The line in the logs: seeds share their start at every α, so these are resampled together."""

    def __init__(self, alpha: Array, values: Array) -> None:
        widths, depths, seeds, scales, rates = values.shape
        self._shape = (widths, depths, scales, rates)
        self.log_y = np.log(values).reshape(widths, depths, seeds, scales * rates)
        self.weight = self._by_scale(np.isfinite(self.log_y).sum(2).astype(np.float64))
        self.log_alpha = np.broadcast_to(np.log(alpha)[:, None, None], self.weight.shape)
        self._power_law = fit.power_law(self.log_alpha, self.weight)
        means = self._by_scale(fit.means_over_seeds(self.log_y))
        self.r_squared = fit.r_squared(self.log_alpha, means, self.weight)

    def slope(self, means: Array) -> Array:
        """From log means (…, width, depth, α and rate)."""
        return self._power_law(self._by_scale(means))

    def shift(self, factor: Array) -> float:
        """By how much a factor of each α shifts the slope."""
        return float(self._power_law(np.broadcast_to(np.log(factor)[:, None, None], self.weight.shape)))

    def _by_scale(self, means: Array) -> Array:
        """(…, width, depth, α and rate) to (…, α, width and depth, rate)."""
        widths, depths, scales, rates = self._shape
        whole = means.reshape(*means.shape[:-3], *self._shape)
        return np.moveaxis(whole, -2, -4).reshape(*means.shape[:-3], scales, widths * depths, rates)


def _on_equal_paths(summary: CellSummary, cells: xr.Dataset, values: Array) -> tuple[Array, str]:
    """Cells whose movements can be compared: at the same stable ηα²λ, else those that have converged."""
    settings = section(summary.config, "training")
    unit = stability_of_one(summary)
    if unit is not None:
        stable = unit * np.asarray(cells["learning_rate"].values) < STABLE
        if settings.get("optimizer", "gd") != "gd" or stable.all():
            return values, ""
        text = f"Learning rates from {STABLE / unit:g} are left out: the linearised model diverges there."
        return np.where(stable, values, np.nan), text
    left = np.asarray(cells["residual_left"].transpose(*DIMS).values, dtype=np.float64)
    ended = left <= CONVERGED
    lost = int((np.isfinite(values) & ~ended).sum())
    text = f"{lost} cells are left out, which kept more than {100 * CONVERGED:.0f} % of their residual."
    return np.where(ended, values, np.nan), text if lost else ""


def _allowed(cells: xr.Dataset, alpha: Array, line: _Line) -> tuple[float, float, str]:
    """Slopes that theory allows on these scales: −1, times 1 + c/α as lazy as the smallest α is.

    To first order in the kernel's relative change ε the movement changes by at most (κ + ½)ε with
    κ = λ_max/λ_min, which on common data refutes nothing; for targets along the large eigenvalues by about ε.
    The 5ε between the two, ½ at most, was chosen after seeing lazy runs and is not derived.
    """
    c = LARGEST_CORRECTION
    if "ntk_relative_change" in cells:
        change = cells["ntk_relative_change"].sel({SCALE: alpha.min()}).values
        if np.isfinite(change).any():
            c = min(c, CORRECTION * float(np.nanmedian(change)))
    bend = c * alpha.min() / alpha
    shifts = [line.shift(factor) for factor in (1.0 + bend, 1.0 / (1.0 + bend))]
    text = (
        f"Allowed on these scales: {EXPECTED + min(shifts):.3f} to {EXPECTED + max(shifts):.3f}, the limit "
        f"with a factor 1 + c/α or its inverse, up to {100 * c:.0f} % at α = {alpha.min():g}."
    )
    return EXPECTED + min(shifts), EXPECTED + max(shifts), text
