"""Where a law speaks: limits on the config and on single cells, each with its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from widesweep.analysis.reading.cell_summary import DONE, NOT_REQUESTED, CellSummary
from widesweep.analysis.reading.sweep import section

NTK, STANDARD, MUP = "ntk", "standard", "mup"  # how weights, outputs and rates scale with the width
MODULE = "module"  # whose author has not said how
DESCENT = ("gd", "nesterov", "gradient_flow")
OF_EACH_WIDTH = "an absolute η means another flow at each width (use learning_rate_unit: relative)"
SCALINGS = {
    NTK: "parameterised as ntk or du",
    STANDARD: "standard with a relative rate",
    MUP: "mup with a relative rate",
}


@dataclass(frozen=True)
class Outside:
    """Cells that a law does not speak of.

    Attributes:
        reason: what they are instead, and which law speaks of them, as a clause.
        cells: True at those cells, over dimensions of `status`; None for all cells.
    """

    reason: str
    cells: xr.DataArray | None = None


@dataclass(frozen=True)
class Limit:
    """One condition of a regime.

    Attributes:
        words: what a sweep or cell inside is, as part of a sentence.
        outside: the cells that break the condition; None where none does.
    """

    words: str
    outside: Callable[[CellSummary], Outside | None]


@dataclass(frozen=True)
class Regime:
    """The networks, trainings and cells that a law speaks of; without limits, all of them."""

    limits: tuple[Limit, ...] = ()

    @property
    def sentence(self) -> str:
        """The regime in one sentence; empty without limits."""
        words = [limit.words for limit in self.limits if limit.words]
        return f"Speaks of networks {', '.join(words)}." if words else ""

    def within(self, summary: CellSummary) -> tuple[CellSummary | None, str]:
        """The cells inside, and what is left out and why.

        Returns:
            The summary with cells outside as if they had not been requested, None where no cell is inside;
            and a sentence, empty where all are inside.

        >>> Regime().within(CellSummary({}, None, None, None, xr.Dataset()))[1]
        ''
        """
        found = [outside for limit in self.limits if (outside := limit.outside(summary)) is not None]
        whole = [outside.reason for outside in found if outside.cells is None]
        if whole or not found or summary.cells is None:
            return (None, f"No cell is in the law's regime: {'; '.join(whole)}.") if whole else (summary, "")
        status = summary.cells["status"]
        mask = xr.zeros_like(status, dtype=bool)
        for outside in found:
            assert outside.cells is not None
            mask = mask | outside.cells
        mask = mask.transpose(*status.dims)
        lost, finished = int((mask & (status == DONE)).sum()), int((status == DONE).sum())
        reasons = "; ".join(outside.reason for outside in found)
        if bool(mask.all()) or (finished and lost == finished):
            return None, f"No cell is in the law's regime: {reasons}."
        text = f"{lost} of {finished} finished cells are outside the law's regime: {reasons}." if lost else ""
        return _without(summary, mask), text


def _without(summary: CellSummary, mask: xr.DataArray) -> CellSummary:
    """The summary with the masked cells NaN and not requested."""

    def kept(group: xr.Dataset) -> xr.Dataset:
        inside = {
            name: values.where(~mask).transpose(*values.dims)
            for name, values in group.items()
            if set(mask.dims) <= set(values.dims) and values.dtype.kind == "f"
        }
        if "status" in group:
            inside["status"] = group["status"].where(~mask, NOT_REQUESTED).astype(group["status"].dtype)
        return group.assign(inside)

    assert summary.cells is not None
    fits = None if summary.fits is None else kept(summary.fits)
    return replace(summary, cells=kept(summary.cells), fits=fits)


def settings(summary: CellSummary) -> dict[str, Any]:
    """The config's section `training`.

    >>> settings(CellSummary({"training": None}, None, None, None, xr.Dataset()))
    {}
    """
    return section(summary.config, "training")


def scaling(summary: CellSummary) -> str:
    """How parameters and rates scale with the width: ntk, standard, mup, or module.

    Of a module nothing is known. Empty where η c(m) varies with m.

    c(m) is the tangent kernel's scale: 1 under `ntk` and `du`, m under `standard`, 1/m under `mup`; a
    relative rate is proportional to 1/c(m).

    >>> scaling(CellSummary({"network": {"parameterization": "mup"}}, None, None, None, xr.Dataset()))
    'mup'
    """
    found = summary.network.get("parameterization", NTK)
    if found is None:
        return MODULE
    name = {"mean_field": MUP}.get(found, found)
    if name not in (STANDARD, MUP):
        return NTK
    if name == STANDARD and summary.network.get("trains") == "hidden" and depths(summary) == {1}:
        return NTK  # no layer of fan-in m trains, and the kernel does not grow
    return name if stability_of_one(summary) is not None else ""


def stability_of_one(summary: CellSummary) -> float | None:
    """η λ_max(Θ^∞) of a learning rate of 1 in the config's unit; None where η is absolute.

    >>> section = {"training": {"learning_rate_unit": "stability"}}
    >>> stability_of_one(CellSummary(section, None, None, None, xr.Dataset()))
    2.0
    """
    unit = str(settings(summary).get("learning_rate_unit", "relative"))
    return {"relative": 1.0, "stability": 2.0}.get(unit)


def depths(summary: CellSummary) -> set[int]:
    """Depths of the trained cells, or those of the config's grid."""
    if summary.cells is not None:
        return {int(depth) for depth in summary.cells["depth"].values}
    return {int(depth) for depth in summary.config.get("grid", {}).get("depth", ())}


def scaled(names: tuple[str, ...], instead: str) -> Limit:
    """Parameterisations, with the rates that go with them.

    Args:
        names: of `SCALINGS`.
        instead: the law that speaks where features are learned, as a clause.
    """

    def outside(summary: CellSummary) -> Outside | None:
        found = scaling(summary)
        if found in names:
            return None
        if not found:
            return Outside(f"under {summary.network.get('parameterization')} {OF_EACH_WIDTH}")
        if found == MODULE:
            return Outside("how a module's parameters scale with the width is not known")
        features = " learns features at every width" if found == MUP else " is none of them"
        return Outside(found + features + instead)

    return Limit(_one_of([SCALINGS[name] for name in names]), outside)


def trained_by(names: tuple[str, ...], why: str) -> Limit:
    """Optimisers.

    Args:
        names: as `training.optimizer` has them; Langevin dynamics at temperature 0 is `gd`.
        why: others do not belong, as a clause.
    """

    def outside(summary: CellSummary) -> Outside | None:
        section = settings(summary)
        if (other := _other_loss(summary)) is not None:
            return other
        found = str(section.get("optimizer", "gd"))
        frozen = found == "langevin" and not section.get("temperature")
        return None if found in names or frozen else Outside(f"{found}: {why}")

    return Limit(f"trained by {_one_of(names)} on the squared loss", outside)


def _other_loss(summary: CellSummary) -> Outside | None:
    """All cells of a training on another loss, or at rates that change: no closed form is known."""
    loss = settings(summary).get("loss", "squared")
    name = next(iter(loss)) if isinstance(loss, dict) else loss
    if name != "squared":
        return Outside(f"{name}: the law is of the squared loss")
    if settings(summary).get("schedule", "constant") != "constant":
        return Outside("a schedule of learning rates: the law is of one that is constant")
    return None


def _one_of(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _unstable(summary: CellSummary) -> Outside | None:
    """Cells whose first steps overshoot, by the measured ηλ_max(G(0)), else by the relative rate."""
    optimizer = settings(summary).get("optimizer", "gd")
    if summary.cells is None or optimizer == "gradient_flow":
        return None
    edge = 4.0 / 3.0 if optimizer == "nesterov" else 2.0
    status = summary.cells["status"]
    unit = stability_of_one(summary) or float("nan")
    product = unit * status["learning_rate"] * xr.ones_like(status, dtype=float)
    if "first_stability" in summary.cells:
        product = summary.cells["first_stability"].fillna(product)
    mask = product > edge
    reason = f"ηλ_max(G(0)) exceeds {edge:.3g}, beyond which the linearised model diverges (catapult regime)"
    return Outside(reason, mask) if bool(mask.any()) else None


def _shallow(summary: CellSummary) -> Outside | None:
    """Depth 1 under standard, among deeper networks: its kernel moves through its first layer alone."""
    if summary.cells is None or scaling(summary) != STANDARD or len(depths(summary)) < 2:
        return None
    mask = (summary.cells["depth"] == 1) & xr.ones_like(summary.cells["status"], dtype=bool)
    reason = "standard at depth 1 has an exponent of its own (sweep that depth alone)"
    return Outside(reason, mask) if bool(mask.any()) else None


ONE_EXPONENT = Limit("", _shallow)
AT_START = Limit("at initialisation, whatever trains them later", lambda summary: None)
BY_DESCENT = trained_by(DESCENT, "its noise is no part of the linearised trajectory")
DRIFTING = trained_by((*DESCENT, "sgd"), "its noise moves all weights alike, at every width")
PLAIN = trained_by(
    ("gd", "gradient_flow"),
    "momentum and noise change the rate, or end the decay (iterations speaks of nesterov)",
)
SQUARED = Limit("trained on the squared loss", _other_loss)
STABLE = Limit("at ηλ_max(G(0)) ≤ 2 (Nesterov 4/3)", _unstable)
