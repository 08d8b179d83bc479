"""Does a parameterisation transfer from narrow to wide networks? Exponents layer by layer, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widesweep.analysis.laws import coordinate_check, learning_rate_transfer
from widesweep.analysis.laws.kinds.law_result import CONSISTENT, INCONCLUSIVE, INCONSISTENT, LawResult
from widesweep.analysis.laws.kinds.width_law import WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

YES, NO, UNDECIDED = "yes", "no", "undecided"
BEST = "best_learning_rate"
SHARPNESS = WidthLaw(
    name="sharpness",
    title="The loss's sharpness is the same at every width",
    variable="sharpness_growth",
    y_label="growth of sharpness",
    expected=0.0,
    allowed=(0.0, 0.0),
)
READS = ("pre_activation_change", "loss", "sharpness")


@dataclass(frozen=True)
class Line:
    """One exponent of the certificate.

    Attributes:
        name: `coordinates` of a layer, `best_learning_rate`, or `sharpness`.
        axis: `width` or `depth`.
        layer: from 1, the output's last; None of the others.
        slope: in log-log.
        low: lower end of the 95 % interval.
        high: its upper end.
        verdict: consistent with 0, inconsistent, or inconclusive; empty of what the verdict does not rest on.
    """

    name: str
    axis: str
    layer: int | None
    slope: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Certificate:
    """Exponents with 95 % intervals, and whether the parameterisation transfers in width.

    Attributes:
        transfers: `yes` where each layer's change and the best rate are the same at every width; `no` where
            one of them is not; else `undecided`.
        lines: the exponents.
        store: address of the sweep.
    """

    transfers: str
    lines: tuple[Line, ...]
    store: str = ""

    @property
    def broken(self) -> tuple[int, ...]:
        """Layers whose pre-activations change differently at different widths; the output's is the last."""
        return tuple(
            each.layer for each in self.lines if each.layer is not None and each.verdict == INCONSISTENT
        )


def certificate(summary: CellSummary) -> Certificate:
    """What a sweep's cells say.

    Change of every layer's pre-activations ∝ m^s with s = 0, and the best learning rate, in the config's
    unit, ∝ m^0. A finite-size factor 1 + c/√m is allowed. Coordinates are compared at rates that are best
    nowhere or lower, where no network is past its own best. Depth and sharpness are reported alone: no
    parameterisation here claims them.

    Args:
        summary: of a sweep that measured `coordinates`, `loss` and `sharpness`.

    Source: Yang et al. 2022, arXiv:2203.03466, section 6 and appendix D.1.
    """
    low = _at_low_rates(summary)
    layers = [
        _line("coordinates", "width", _flat(law).of_cells(low), layer=law.layer)
        for law in coordinate_check.laws(low)
    ]
    best = learning_rate_transfer.LAW
    rate = _line(BEST, "width", best.of_cells(_first_rate(summary)))
    depth = _line(BEST, "depth", best.of_cells(_first_rate(_across_depth(summary))), told=False)
    sharp = _line("sharpness", "width", SHARPNESS.of_cells(low), told=False)
    return Certificate(decision([*layers, rate]), (*layers, rate, depth, sharp))


def decision(lines: Sequence[Line]) -> str:
    """`no` where one line is inconsistent, `yes` where all are consistent, else `undecided`.

    >>> decision([Line("coordinates", "width", 1, -0.5, -0.6, -0.4, "inconsistent")])
    'no'
    """
    verdicts = {each.verdict for each in lines}
    if INCONSISTENT in verdicts:
        return NO
    return YES if verdicts == {CONSISTENT} else UNDECIDED


def best_at_an_end(summary: CellSummary) -> tuple[bool, bool]:
    """Whether some network's best rate may lie below the grid's least rate, or above its largest.

    Judged by the last loss: the least is at that end, and nothing diverged beyond it.
    """
    assert summary.cells is not None
    loss = summary.cells["loss"].transpose("width", "depth", "seed", "learning_rate").values
    at = np.argmin(np.where(np.isfinite(loss), loss, np.inf), -1)
    return bool((at == 0).any()), bool((at == loss.shape[-1] - 1).any())


def text(found: Certificate) -> str:
    """One page for people."""
    rows = [f"{'exponent':<34}{'slope':>8}  {'95 % interval':<18}verdict"]
    for each in found.lines:
        place = f"layer {each.layer}" if each.layer is not None else ""
        name = f"{each.name.replace('_', ' ')} {place}".strip() + f" in {each.axis}"
        interval = f"[{each.low:.2f}, {each.high:.2f}]" if np.isfinite(each.low) else "none"
        slope = f"{each.slope:.2f}" if np.isfinite(each.slope) else "none"
        rows.append(f"{name:<34}{slope:>8}  {interval:<18}{each.verdict or 'reported alone'}")
    layers = ", ".join(map(str, found.broken))
    where = f"; layers that break: {layers}" if layers else ""
    return "\n".join([*rows, "", f"this parameterisation transfers in width: {found.transfers}{where}"])


def record(found: Certificate) -> dict[str, Any]:
    """What `certify --json` prints: `transfers`, `broken`, `exponents`, `store`; no number is null."""
    rows = [
        {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in vars(each).items()
        }
        for each in found.lines
    ]
    layers = list(found.broken)
    return {"transfers": found.transfers, "broken": layers, "exponents": rows, "store": found.store}


def _flat(law: WidthLaw) -> WidthLaw:
    return replace(law, expected=0.0, allowed=(0.0, 0.0), powers=1)


def _line(
    name: str, axis: str, found: list[LawResult], *, layer: int | None = None, told: bool = True
) -> Line:
    nothing = float("nan")
    if not found:
        return Line(name, axis, layer, nothing, nothing, nothing, INCONCLUSIVE if told else "")
    estimate, verdict = found[0].estimate, found[0].verdict if told else ""
    return Line(name, axis, layer, estimate.value, estimate.low, estimate.high, verdict)


def _at_low_rates(summary: CellSummary) -> CellSummary:
    """The cells at rates up to the least that is best somewhere; at least those of the smallest rate."""
    cells = summary.cells
    assert cells is not None
    rates = cells["learning_rate"].values
    best = cells[BEST].values if BEST in cells else np.array([np.nan])
    least = float(np.nanmin(best)) if np.isfinite(best).any() else float(rates.min())
    return replace(summary, cells=cells.isel(learning_rate=np.flatnonzero(rates <= max(least, rates.min()))))


def _first_rate(summary: CellSummary) -> CellSummary:
    assert summary.cells is not None
    return replace(summary, cells=summary.cells.isel(learning_rate=[0]))


def _across_depth(summary: CellSummary) -> CellSummary:
    assert summary.cells is not None
    kept = summary.cells[[name for name in (BEST, "status") if name in summary.cells]]
    return replace(summary, cells=kept.rename({"width": "depth", "depth": "width"}))
