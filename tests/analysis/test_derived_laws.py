"""Laws of suprema, subspaces and iterations: yes to what obeys them, no to what does not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.analysis import synthetic
from tests.analysis.summaries import by_name
from tests.analysis.synthetic import CELL, SyntheticSweep
from widesweep.analysis.laws import VARIABLES, find_all
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary, gather
from widesweep.analysis.reading.derived import derived

SWEEP = SyntheticSweep()


def found(training: xr.Dataset, theory: xr.Dataset | None = None, /, **config: Any) -> dict[str, LawResult]:
    """What the laws say of a sweep that was made here."""
    resolved = {**synthetic.config(SWEEP), **config}
    groups = {"/": xr.Dataset(attrs={"config": json.dumps(resolved)}), "/training": training}
    groups["/theory"] = synthetic.theory(SWEEP) if theory is None else theory
    return by_name(find_all(gather(xr.DataTree.from_dict(groups), VARIABLES)))


def distance(exponent: float) -> xr.DataArray:
    """A distance that is largest in the middle of training and falls with the width."""
    training = synthetic.training(SWEEP)
    k = np.arange(training.sizes["step"])
    bump = xr.DataArray(np.exp(-(((k - 20.0) / 8.0) ** 2)), dims="step")
    noise = np.random.default_rng(5).normal(size=training.status.shape) * 0.1
    level = training.width**exponent * np.exp(xr.DataArray(noise, dims=CELL))
    return (level * bump).transpose(*CELL, "step")


@pytest.mark.parametrize(
    ("exponent", "verdict"), [(-0.5, "consistent"), (-1.0, "consistent"), (0.0, "inconsistent")]
)
def test_the_linearised_network_is_followed_at_the_largest_distance(exponent: float, verdict: str) -> None:
    """The supremum counts, not the last record, which is 0 here; a distance that stays is refuted."""
    training = synthetic.training(SWEEP).assign(linearized_distance=distance(exponent))
    law = found(training)["linearization"]
    assert law.verdict == verdict
    assert abs(law.estimate.value - exponent) < 0.05


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-15), ("float32", 1e-7)])
def test_a_linear_model_is_its_linearisation_exactly(dtype: str, rounding: float) -> None:
    """Distances of rounding size have no slope and are consistent; larger ones are judged (control)."""
    training = synthetic.training(SWEEP).assign(linearized_distance=rounding * distance(0.0))
    config = synthetic.config(SWEEP)["training"]
    law = found(training, training=config | {"dtype": dtype})["linearization"]
    assert law.verdict == "consistent"
    assert "exact" in law.note
    assert np.isnan(law.estimate.value)
    larger = synthetic.training(SWEEP).assign(linearized_distance=1e-6 * distance(0.0))
    assert found(larger)["linearization"].verdict == "inconsistent"


def trajectories(exponent: float) -> tuple[xr.Dataset, xr.Dataset]:
    """Residuals that leave the limit's trajectory by m^exponent of its start."""
    training = synthetic.training(SWEEP)
    limit = training.residual_norm.isel(width=0, seed=0, drop=True)
    noise = np.random.default_rng(6).normal(size=training.status.shape) * 0.1
    away = 2.0 * training.width**exponent * np.exp(xr.DataArray(noise, dims=CELL))
    shape = xr.DataArray(np.sin(np.linspace(0.0, np.pi, training.sizes["step"])), dims="step")
    norm = limit + limit.isel(step=0, drop=True) * away * shape
    training["residual_norm"] = norm.transpose(*CELL, "step")
    return training, synthetic.theory(SWEEP).assign(residual_norm_predicted=limit)


@pytest.mark.parametrize(("exponent", "verdict"), [(-0.5, "consistent"), (0.0, "inconsistent")])
def test_the_centred_networks_trajectory_approaches_the_limit(exponent: float, verdict: str) -> None:
    """The gap falls like the noise that made it; a gap that stays is refuted."""
    training, theory = trajectories(exponent)
    law = found(training, theory, network={"kind": "two_layer", "centered": True})["trajectory"]
    assert law.verdict == verdict
    assert abs(law.estimate.value - exponent) < 0.05


def test_an_uncentred_network_has_no_trajectory_of_its_own() -> None:
    """The limit is a mean over initial outputs: the law is silent."""
    training, theory = trajectories(-0.5)
    assert "trajectory" not in found(training, theory)


def subspaces(information: float, nuisance: float) -> xr.Dataset:
    """Both parts decay by these multiples of the mode at the cut-off."""
    training = synthetic.training(SWEEP)
    cutoff = 0.1
    pace = -np.log1p(-training.learning_rate_absolute * cutoff**2 * synthetic.LAMBDA_MAX)
    k = training.step.astype(float)
    ones = xr.ones_like(training.status, dtype=float)
    for space, multiple in (("information", information), ("nuisance", nuisance)):
        part = (ones * np.exp(-multiple * pace * k)).transpose(*CELL, "step")
        training[f"residual_{space}_norm"] = part
    return training


@pytest.mark.parametrize(
    ("multiples", "verdicts"),
    [
        ((3.0, 0.2), ("consistent", "consistent")),
        ((0.5, 0.2), ("inconsistent", "consistent")),
        ((3.0, 2.0), ("consistent", "inconsistent")),
    ],
)
def test_parts_of_the_residual_decay_on_their_sides_of_the_cut_off(
    multiples: tuple[float, float], verdicts: tuple[str, str]
) -> None:
    """Decays are found as they were made; information too slow or nuisance too fast is refuted."""
    laws = found(subspaces(*multiples))
    assert (laws["information_decay"].verdict, laws["nuisance_decay"].verdict) == verdicts
    assert laws["information_decay"].estimate.value == pytest.approx(multiples[0], rel=1e-10)
    assert laws["nuisance_decay"].estimate.value == pytest.approx(multiples[1], rel=1e-10)


def conditioned(power: float, optimizer: str) -> dict[str, LawResult]:
    """Rates κ^−power of cells whose κ varies with the depth."""
    sweep = SyntheticSweep(depths=(1, 2, 3, 4), modes=1, layers=False)
    training = synthetic.training(sweep)
    kappa = np.array([10.0, 40.0, 160.0, 640.0])
    noise = np.random.default_rng(7).normal(size=training.status.shape) * 0.02
    rate = (kappa**-power)[None, :, None, None] * np.exp(noise)
    training["residual_norm"] = ((*CELL, "step"), np.exp(-rate[..., None] * training.step.values))
    eta = (
        xr.DataArray(kappa**-1, dims="depth", coords={"depth": training.depth}) / training.ntk_min_eigenvalue
    )
    training["ntk_min_eigenvalue"] = training.ntk_min_eigenvalue * eta / training.learning_rate_absolute
    groups = {
        "/": xr.Dataset(
            attrs={"config": json.dumps({**synthetic.config(sweep), "training": {"optimizer": optimizer}})}
        ),
        "/training": training,
        "/theory": synthetic.theory(sweep),
    }
    summary = gather(xr.DataTree.from_dict(groups), VARIABLES)
    rates = xr.DataArray(rate, dims=CELL, coords={d: training[d] for d in CELL})
    facts = CellSummary(summary.config, summary.cells, summary.fits.assign(rate=rates), None, summary.theory)  # type: ignore[union-attr]
    return by_name(find_all(facts))


@pytest.mark.parametrize(
    ("power", "optimizer", "verdict"),
    [
        (1.0, "gd", "consistent"),
        (0.5, "gd", "inconsistent"),
        (0.5, "nesterov", "consistent"),
        (1.0, "nesterov", "inconsistent"),
    ],
)
def test_iterations_follow_the_condition_number(power: float, optimizer: str, verdict: str) -> None:
    """κ for gradient descent, √κ for Nesterov; each with the other's exponent is refuted."""
    law = conditioned(power, optimizer)["iterations"]
    assert law.verdict == verdict
    assert law.estimate.value == pytest.approx(power, abs=0.02)


def test_a_grid_of_one_condition_number_says_nothing_of_iterations() -> None:
    """κ varies by less than a factor of four: the law is silent."""
    assert "iterations" not in found(synthetic.training(SWEEP))


def test_what_was_not_measured_is_left_out() -> None:
    """A bare sweep derives what its loss and its kernel's largest eigenvalue give."""
    training = synthetic.training(SWEEP)
    found = list(derived({}, training, synthetic.theory(SWEEP)))
    rooms = ["du_convergence_room", "du_convergence_asked"]
    assert found == ["first_stability", "loss_peak", "catapult_room", *rooms]
    training = training.drop_vars(["ntk_max_eigenvalue", "loss"])
    assert list(derived({}, training, synthetic.theory(SWEEP))) == rooms
    training = training.drop_vars("residual_norm")
    assert list(derived({}, training, synthetic.theory(SWEEP))) == []
