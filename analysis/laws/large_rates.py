"""Large learning rates: the catapult beyond 2/λ0, its limit, and the edge of stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.fitting import fit
from widesweep.analysis.laws.kinds.bound_law import BoundLaw
from widesweep.analysis.laws.kinds.law_result import LawResult, judge, undecided
from widesweep.analysis.laws.kinds.regime import SQUARED, Limit, Outside, Regime, depths, settings, trained_by
from widesweep.analysis.laws.kinds.width_law import finite_size_bend
from widesweep.analysis.laws.own_kernel import median_interval
from widesweep.analysis.reading.cell_summary import DIVERGED, DONE, CellSummary

Array = NDArray[np.float64]

CRITICAL = 2.0  # ηλ0 beyond which the linearised model diverges
LONGEST = 0.1  # of the interval, as a share: half of it
LINEAR_LIMIT = 4.0  # and a linear network of one hidden layer
TOLERANCE = 0.1  # of the edge, about which sharpness oscillates
FITTED = 1e-4  # share of ‖r(0)‖ below which nothing drives sharpness up any more
FEWEST_NETWORKS = 6
GRID = ("width", "depth", "seed", "learning_rate")


def _lazy(summary: CellSummary) -> Outside | None:
    """Cells at ηλ_max(G(0)) ≤ 2, or of which it is not known."""
    if summary.cells is None:
        return None
    if "first_stability" not in summary.cells:
        return Outside("ηλ_max(G(0)) was not measured (measurement kernel)")
    mask = ~(summary.cells["first_stability"] > CRITICAL) & (summary.cells["status"] == DONE)
    return Outside("ηλ_max(G(0)) is at most 2: lazy training", mask) if bool(mask.any()) else None


def _nonlinear(summary: CellSummary) -> Outside | None:
    linear = summary.network.get("activation") == "linear" and depths(summary) == {1}
    every = summary.network.get("trains", "all") == "all"
    return None if linear and every else Outside("theory knows the limit of linear two-layer networks alone")


def edge(summary: CellSummary) -> float | None:
    """ηλ at which full-batch training stops being stable on a quadratic; None where theory has no number.

    2 of gradient descent, 2 + 2β of heavy ball, (2 + 2β)/(1 + 2β) of Nesterov.

    Source: Cohen et al. 2021, arXiv:2103.00065, equation 1.

    >>> import xarray as xr
    >>> section = {"training": {"optimizer": "momentum", "momentum": 0.5}}
    >>> edge(CellSummary(section, None, None, None, xr.Dataset()))
    3.0
    """
    section = settings(summary)
    optimizer, beta = str(section.get("optimizer", "gd")), section.get("momentum", 0.9)
    if optimizer == "gd":
        return CRITICAL
    if optimizer not in ("momentum", "nesterov") or isinstance(beta, str):
        return None
    limit = 2.0 + 2.0 * float(beta)
    return limit if optimizer == "momentum" else limit / (1.0 + 2.0 * float(beta))


def _no_edge(summary: CellSummary) -> Outside | None:
    return (
        None
        if edge(summary) is not None
        else Outside(f"{settings(summary).get('optimizer')} has no known edge")
    )


def _away(summary: CellSummary) -> Outside | None:
    """Cells whose sharpness never reached the edge."""
    limit = edge(summary)
    if summary.cells is None or limit is None or "sharpness_largest" not in summary.cells:
        return None
    reached = summary.cells["sharpness_largest"] * summary.cells["learning_rate_absolute"] >= limit
    mask = ~reached & (summary.cells["status"] == DONE)
    return Outside("sharpness never reached the edge", mask) if bool(mask.any()) else None


def _fitted(summary: CellSummary) -> Outside | None:
    """Cells whose labels are fitted: sharpness then stops wherever the last oscillation left it."""
    return _by_residual(summary, "labels are fitted, and nothing drives sharpness up", fitted=True)


def _unfitted(summary: CellSummary) -> Outside | None:
    return _by_residual(summary, "training has not converged", fitted=False)


def _by_residual(summary: CellSummary, reason: str, *, fitted: bool) -> Outside | None:
    if summary.cells is None or "residual_left" not in summary.cells:
        return None
    small = summary.cells["residual_left"] < FITTED
    mask = (small if fitted else ~small) & (summary.cells["status"] == DONE)
    return Outside(reason, mask) if bool(mask.any()) else None


DESCENT = trained_by(("gd",), "the catapult is of plain gradient descent")
CATAPULT = Limit("at ηλ_max(G(0)) > 2", _lazy)
CONVERGED = Limit("converged to 0.01 % of the first residual", _unfitted)
CATAPULT_LAW = BoundLaw(
    name="catapult",
    title="Beyond ηλ0 = 2 training that converges ends at ηλ < 2",
    variable="catapult_room",
    y_label=r"$2 / (\eta\,\lambda_{\max}(G))$ at the end",
    limits=(DESCENT, CATAPULT, CONVERGED),
    source="Lewkowycz et al. 2020, arXiv:2003.02218",
    silent=True,
)
FLAT_LAW = BoundLaw(
    name="flat_minimum",
    title="Training that converges ends where the loss's sharpness is below 2/η",
    variable="flat_room",
    y_label=r"$2 / (\eta\,\lambda_{\max}(\nabla^2 L))$ at the end",
    limits=(DESCENT, CONVERGED),
    source="Cohen et al. 2021, arXiv:2103.00065, section 2",
)
LIMIT_REGIME = Regime((DESCENT, Limit("linear with one hidden layer, all of it trained", _nonlinear)))
EDGE_REGIME = Regime(
    (
        Limit("trained by gd, or by momentum or nesterov with a given β", _no_edge),
        SQUARED,
        Limit("whose sharpness rises to the edge", _away),
        Limit("with more than 0.01 % of the first residual left", _fitted),
    )
)


@dataclass(frozen=True)
class CatapultLimit:
    """The largest ηλ0 from which training converges: 4 for linear networks of one hidden layer.

    Attributes:
        name: the law's name.
        title: one line for people.
        expected: c as width grows.
        regime: linear networks alone.
        reads: what it looks at.

    Source: Lewkowycz et al. 2020, arXiv:2003.02218, section 2.
    """

    name: str = "catapult_limit"
    title: str = "A linear network of one hidden layer converges up to ηλ0 = 4"
    expected: float = LINEAR_LIMIT
    regime: Regime = LIMIT_REGIME
    reads: tuple[str, ...] = ("training/status", "training/ntk_max_eigenvalue")

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding at the largest width; none where no rate is beyond 2/λ0 or none diverged.

        Between the largest rate that converged and the least that diverged nothing is known: half of that
        gap, in the logarithm, is added to the interval over seeds.

        >>> import xarray as xr
        >>> CatapultLimit().find(CellSummary({}, None, None, None, xr.Dataset()))
        []
        """
        ends = limits(summary)
        if ends is None:
            return []
        widths, low, high = ends
        widest = int(np.flatnonzero(np.isfinite(low).any(1))[-1])
        logs = np.log(np.stack([low, high]))[:, widest]
        middle = logs.mean(0)
        middle = middle[np.isfinite(middle)]
        if len(middle) < 2:
            return [undecided(self.name, self.title, LINEAR_LIMIT, "One seed has both ends: no interval.", 1)]
        half = 1.96 * float(middle.std(ddof=1)) / np.sqrt(len(middle)) + 0.5 * float(
            np.nanmean(logs[1] - logs[0])
        )
        centre = float(middle.mean())
        low_end, high_end = float(np.exp(centre - half)), float(np.exp(centre + half))
        value = float(np.exp(centre))
        estimate = fit.Estimate(value, (high_end - low_end) / 3.92, low_end, high_end, float(len(middle) - 1))
        bend = 1.0 + float(finite_size_bend(widths[[widest]], float(widths.min()))[0])
        verdict, power = judge(
            estimate, LINEAR_LIMIT / bend, LINEAR_LIMIT * bend, resolution=LONGEST * LINEAR_LIMIT
        )
        note = f"{power} Of networks of width {widths[widest]:g}; a factor 1 + c/√m is allowed."
        return [
            LawResult(
                self.name, self.title, estimate, LINEAR_LIMIT, LINEAR_LIMIT / bend, LINEAR_LIMIT * bend,
                float("nan"), len(middle), verdict, note,
            )
        ]  # fmt: skip


def limits(summary: CellSummary) -> tuple[Array, Array, Array] | None:
    """Widths, and for each of them the largest ηλ0 that converged and the least that diverged, by network.

    None where no cell beyond ηλ0 = 2 diverged.
    """
    cells = summary.cells
    if cells is None or "first_stability" not in cells or "learning_rate_absolute" not in cells:
        return None
    eta = cells["learning_rate_absolute"].broadcast_like(cells["status"])
    first = (cells["first_stability"] / eta).mean(
        "learning_rate"
    ) * eta  # λ0 of a network that converges at all
    first = first.transpose(*GRID)
    state = cells["status"].transpose(*GRID)
    converged = first.where(state == DONE).max("learning_rate")
    diverged = first.where((state == DIVERGED) & (first > CRITICAL)).min("learning_rate")
    both = np.isfinite(diverged) & np.isfinite(converged) & (converged < diverged)
    if not bool(both.any()):
        return None
    low, high = (np.asarray(each.where(both).values, dtype=np.float64) for each in (converged, diverged))
    flat = (len(cells["width"]), -1)
    return np.asarray(cells["width"].values, dtype=np.float64), low.reshape(flat), high.reshape(flat)


@dataclass(frozen=True)
class EdgeOfStability:
    """Once λ_max of the loss's Hessian has reached the edge of stability, it stays there.

    Attributes:
        name: the law's name.
        title: one line for people.
        expected: late sharpness in units of the edge.
        regime: cells that reach the edge.
        reads: what it looks at.

    Source: Cohen et al. 2021, arXiv:2103.00065.
    """

    name: str = "edge_of_stability"
    title: str = (
        "Sharpness that has risen to the edge of stability (2/η) stays there while labels are left to fit"
    )
    expected: float = 1.0
    regime: Regime = EDGE_REGIME
    reads: tuple[str, ...] = ("training/sharpness", "training/learning_rate_absolute")

    def find(self, summary: CellSummary) -> list[LawResult]:
        """The law's finding: the median over networks; none where sharpness was not measured.

        >>> import xarray as xr
        >>> EdgeOfStability().find(CellSummary({}, None, None, None, xr.Dataset()))
        []
        """
        cells, limit = summary.cells, edge(summary)
        if cells is None or "sharpness_late" not in cells:
            return []
        ratio = cells["sharpness_late"] * cells["learning_rate_absolute"] / (limit or float("nan"))
        networks = ratio.mean("learning_rate").values.ravel()
        networks = networks[np.isfinite(networks)]
        if len(networks) < FEWEST_NETWORKS:
            reason = f"{len(networks)} networks reach the edge; {FEWEST_NETWORKS} are needed."
            return [undecided(self.name, self.title, self.expected, reason, len(networks))]
        estimate = median_interval(np.asarray(networks, dtype=np.float64))
        verdict, power = judge(estimate, 1.0 - TOLERANCE, 1.0 + TOLERANCE)
        note = f"{power} In units of ηλ = {limit:.3g}; {100 * TOLERANCE:.0f} % is allowed."
        return [
            LawResult(
                self.name, self.title, estimate, 1.0, 1.0 - TOLERANCE, 1.0 + TOLERANCE, float("nan"),
                int(np.isfinite(ratio.values).sum()), verdict, note,
            )
        ]  # fmt: skip


LARGE_RATE_LAWS = {law.name: law for law in (CATAPULT_LAW, FLAT_LAW, CatapultLimit(), EdgeOfStability())}
