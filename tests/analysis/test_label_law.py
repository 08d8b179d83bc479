"""The law of corrupted labels: yes to the limit's ratio of steps, no to labels that make no difference."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

from tests.analysis import synthetic
from tests.analysis.synthetic import SyntheticSweep
from widesweep.analysis.laws import VARIABLES, label_corruption
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary, gather

DIMS = ("width", "depth", "corrupted_fraction", "seed", "learning_rate")
LIMIT = {0.0: 30.0, 0.25: 44.0, 0.5: 57.0}  # steps to 1 % in the limit, at η = 1


@dataclass(frozen=True)
class LabelSweep:
    """Cells that reach 1 % after T₀ (T∞(p)/T∞(0))^(slope + correction) steps, a correction for each width.

    Attributes:
        spread: standard deviation over seeds of log T₀, the same at every p.
        own: standard deviation of each cell's log steps, at m₀, falling like 1/√m.
        short: (width, depth, fraction, seed, rate) indices of cells that end before 1 %.
    """

    slope: float = 1.0
    corrections: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    rates: tuple[float, ...] = (0.5, 1.0)
    seeds: int = 8
    spread: float = 0.1
    own: float = 0.05
    limit: tuple[float, ...] = tuple(LIMIT.values())
    short: tuple[tuple[int, ...], ...] = ()
    seed: int = 0

    def summary(self) -> CellSummary:
        noise = np.random.default_rng([self.seed, 11])
        smaller = (self.widths[0] / np.array(self.widths)).reshape(-1, 1, 1, 1, 1)
        limit = np.array(self.limit).reshape(1, 1, -1, 1, 1)
        shape = (len(self.widths), 1, limit.size, self.seeds, len(self.rates))
        slope = self.slope + np.array(self.corrections[: len(self.widths)]).reshape(-1, 1, 1, 1, 1)
        log_steps = np.log(limit[:, :, :1]) + slope * np.log(limit / limit[:, :, :1])
        log_steps = log_steps - np.log(np.array(self.rates))
        log_steps = log_steps + self.spread * noise.standard_normal((shape[0], 1, 1, self.seeds, 1))
        log_steps = log_steps + self.own * np.sqrt(smaller) * noise.standard_normal((*shape[:-1], 1))
        steps = np.exp(log_steps)
        for place in self.short:
            steps[place] = np.nan
        cells = xr.Dataset(
            {
                "steps_to_fit": (DIMS, steps),
                "steps_to_fit_predicted": (DIMS, np.broadcast_to(limit / np.array(self.rates), shape)),
                "status": (DIMS, np.ones(shape, dtype=np.int8)),
            },
            {
                "width": list(self.widths), "depth": [1], "corrupted_fraction": list(LIMIT),
                "seed": range(self.seeds), "learning_rate": list(self.rates),
            },
        )  # fmt: skip
        return CellSummary({}, cells, None, None, xr.Dataset())

    def found(self) -> LawResult:
        return label_corruption.find(self.summary())[0]


@pytest.mark.parametrize("deficit", [0.0, 0.2])
def test_the_limits_ratio_of_steps_is_consistent(deficit: float) -> None:
    """With and without a deficit at finite width that falls like 1/√m."""
    law = LabelSweep(corrections=tuple(-deficit * (64 / m) ** 0.5 for m in (64, 128, 256, 512))).found()
    assert law.verdict == "consistent"
    assert abs(law.estimate.value - 1.0) < 0.05
    label, text = law.numbers[-1]
    assert label == "steps, 50 % corrupted over 0 %, m = 512"
    assert text.endswith("(limit 1.900)")


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.5, -1.0])
def test_labels_that_make_no_such_difference_are_inconsistent(slope: float) -> None:
    """Negative control: no slow-down, half of it, too much of it, and true labels slower than random ones."""
    assert LabelSweep(slope=slope).found().verdict == "inconsistent"


def test_cells_that_end_too_early_take_their_group_along() -> None:
    """The seeds that are left would be the fast ones; the note counts the cells."""
    law = LabelSweep(short=((1, 0, 2, 3, 0),)).found()
    assert law.verdict == "consistent"
    assert "1 cells end before 1 %" in law.note


def test_two_widths_and_labels_alike_are_inconclusive() -> None:
    """Nothing is extrapolated from two widths, or compared where theory sees no difference."""
    two, alike = LabelSweep(widths=(64, 128)).found(), LabelSweep(limit=(30.0, 30.5, 31.0)).found()
    assert (two.verdict, alike.verdict) == ("inconclusive", "inconclusive")
    assert "three widths" in two.note
    assert "less than 10 %" in alike.note


def recorded(*, centered: bool = True) -> CellSummary:
    """A sweep whose residuals are e^{−k/τ}, τ = 10 for true and 20 for corrupted labels."""
    sweep = SyntheticSweep(depths=(1,), rates=(1.0,))
    training, theory = synthetic.training(sweep), synthetic.theory(sweep)
    axis = xr.DataArray([0.0, 0.5], dims="corrupted_fraction", coords={"corrupted_fraction": [0.0, 0.5]})
    norm = np.exp(-training["step"] / (10.0 * (1.0 + 2.0 * axis))) * xr.ones_like(
        training["status"], dtype=float
    )
    dims = ("width", "depth", "corrupted_fraction", "seed", "learning_rate")
    whole = training.drop_vars("residual_norm").expand_dims(corrupted_fraction=axis.values)
    whole["residual_norm"] = norm
    whole = whole.transpose(*dims, ...)
    theory["residual_norm_predicted"] = norm.isel(width=0, seed=0, drop=True)
    config = synthetic.config(sweep) | {"network": {"kind": "two_layer", "centered": centered}}
    groups = {
        "/": xr.Dataset(attrs={"config": json.dumps(config)}), "/training": whole, "/theory": theory
    }  # fmt: skip
    return gather(xr.DataTree.from_dict(groups), VARIABLES)


def test_the_step_at_one_percent_is_read_between_records() -> None:
    """log ‖r‖ is linear between records: exponentials give τ log 100 exactly, whatever steps are recorded."""
    cells = recorded().cells
    assert cells is not None
    for fraction, tau in ((0.0, 10.0), (0.5, 20.0)):
        for name in ("steps_to_fit", "steps_to_fit_predicted"):
            steps = cells[name].sel(corrupted_fraction=fraction).values
            np.testing.assert_allclose(steps, tau * np.log(100.0), rtol=1e-10)


def test_an_uncentred_model_is_inconclusive() -> None:
    """The limit is a mean over initial outputs, which no cell follows."""
    (law,) = label_corruption.find(recorded(centered=False))
    assert law.verdict == "inconclusive"
    assert "not centred" in law.note
