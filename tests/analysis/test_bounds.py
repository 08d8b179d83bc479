"""Bounds of the theorems hold of a linear model, break where a record is tampered with, or ask nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.analysis.summaries import by_name
from widesweep.analysis.laws import find_all
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.reading.derived import derived

GRID = {"width": [8, 16], "depth": [1], "seed": [0, 1, 2], "learning_rate": [0.5]}
DIMS, SHAPE = tuple(GRID), (2, 1, 3, 1)
STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64])
SPECTRUM, ALONG = np.array([0.05, 0.4, 1.0]), np.array([0.2, 0.7, 0.9])


def trained(steps: np.ndarray = STEPS, flow: bool = False) -> xr.Dataset:
    """A linear model with the spectrum above: every bound of lazy training is true of it, by construction."""
    eta, time = 0.5, steps[:, None]
    factors = np.exp(-eta * SPECTRUM * time) if flow else (1.0 - eta * SPECTRUM) ** time
    modes = ALONG * factors
    moved = np.linalg.norm((ALONG - modes) / np.sqrt(SPECTRUM), axis=1)
    records = {
        "residual_norm": np.linalg.norm(modes, axis=1),
        "ntk_min_eigenvalue": np.full(len(steps), SPECTRUM[0]),
        "ntk_max_eigenvalue": np.full(len(steps), SPECTRUM[-1]),
        "parameter_change": moved,
        "residual_information_norm": np.linalg.norm(modes[:, 1:], axis=1),
        "residual_nuisance_norm": modes[:, 0],
    }
    data = {
        name: ((*DIMS, "step"), np.broadcast_to(value, (*SHAPE, len(steps))).copy())
        for name, value in records.items()
    }
    training = xr.Dataset(data, GRID | {"step": steps})
    training["status"] = (DIMS, np.ones(SHAPE, dtype=np.int8))
    training["learning_rate_absolute"] = (("width", "depth", "learning_rate"), np.full((2, 1, 1), eta))
    return training


def found(training: xr.Dataset, **section: Any) -> dict[str, LawResult]:
    config = {"network": {"parameterization": "ntk"}, "training": {"information_cutoff": 0.5} | section}
    rate = -np.log1p(-0.5 * SPECTRUM[0])
    theory = xr.Dataset(
        {"rate_predicted": (("depth", "learning_rate"), [[rate]])}, {"depth": [1], "learning_rate": [0.5]}
    )
    cells = derived(config, training, theory).assign(
        status=training["status"], learning_rate_absolute=training["learning_rate_absolute"]
    )
    return by_name(find_all(CellSummary(config, cells, None, None, theory)))


LAWS = {"gd": ("du_convergence", "oymak_residual"), "gradient_flow": ("flow_loss", "flow_drift")}


@pytest.mark.parametrize("optimizer", LAWS)
def test_every_bound_holds_of_a_linear_model(optimizer: str) -> None:
    """The theorems are exact there; laws of the other optimiser do not apply or are not there."""
    laws = found(trained(flow=optimizer == "gradient_flow"), optimizer=optimizer)
    for name in LAWS[optimizer]:
        assert laws[name].verdict == "holds", laws[name].note
        assert laws[name].estimate.value >= 1.0
        assert laws[name].points == 6
    assert not set(LAWS["gd" if optimizer == "gradient_flow" else "gradient_flow"]) & set(laws)


@pytest.mark.parametrize(
    ("optimizer", "name", "variable"),
    [
        ("gd", "du_convergence", "residual_norm"),
        ("gd", "oymak_residual", "residual_norm"),
        ("gradient_flow", "flow_loss", "residual_norm"),
        ("gradient_flow", "flow_drift", "parameter_change"),
    ],
)
def test_one_cell_beyond_its_bound_breaks_it_and_is_named(optimizer: str, name: str, variable: str) -> None:
    """At width 16 one seed's last records are forty times what they should be."""
    training = trained(flow=optimizer == "gradient_flow")
    training[variable][1, 0, 2, 0, 4:] *= 40.0
    law = found(training, optimizer=optimizer)[name]
    assert law.verdict == "broken"
    assert "1 of 6 cells" in law.note
    assert law.note.endswith("at m = 16.")
    assert law.estimate.value < 1.0


def test_a_bound_that_asks_for_nothing_is_vacuous() -> None:
    """After one step of a slow mode Du's bound asks for 1.2 % of the residual; of a tenth of it, for less."""
    training = trained(np.array([0, 1]))
    assert found(training)["du_convergence"].verdict == "holds"
    config = {"network": {"parameterization": "ntk"}, "training": {}}
    theory = xr.Dataset(
        {"rate_predicted": (("depth", "learning_rate"), [[1e-3]])}, {"depth": [1], "learning_rate": [0.5]}
    )
    cells = derived(config, training, theory).assign(status=training["status"])
    laws = by_name(find_all(CellSummary(config, cells, None, None, theory)))
    assert laws["du_convergence"].verdict == "vacuous"
    assert "could not fail" in laws["du_convergence"].note


def test_dus_room_is_what_the_formulas_say() -> None:
    """The least over records of log ‖r‖²'s fall over the bound's, by a loop over steps."""
    law = found(trained())["du_convergence"]
    norms = [np.linalg.norm(ALONG * (1 - 0.5 * SPECTRUM) ** int(k)) for k in STEPS]
    rooms = [
        np.log(norms[i] ** 2 / norms[0] ** 2) / np.log((1 - 0.5 * SPECTRUM[0] / 2) ** int(k))
        for i, k in enumerate(STEPS)
        if k
    ]
    assert law.estimate.value == pytest.approx(min(rooms), rel=1e-12)


def test_lazy_bounds_do_not_speak_of_features_learned() -> None:
    """Under mup Du's and Oymak's theorems do not apply."""
    training = trained()
    config = {"network": {"parameterization": "mup"}, "training": {}}
    theory = xr.Dataset(
        {"rate_predicted": (("depth", "learning_rate"), [[0.02]])}, {"depth": [1], "learning_rate": [0.5]}
    )
    cells = derived(config, training, theory).assign(status=training["status"])
    laws = by_name(find_all(CellSummary(config, cells, None, None, theory)))
    assert {laws[name].verdict for name in LAWS["gd"]} == {"not_applicable"}


def test_a_condition_of_dus_proof_that_fails_once_is_broken() -> None:
    """A flag that is 0 at one record of one cell; the others hold."""
    training = trained()
    flags = np.ones((*SHAPE, len(STEPS)))
    training["du_start"] = ((*DIMS, "step"), flags.copy())
    flags[0, 0, 1, 0, 3] = 0.0
    training["du_kernel"] = ((*DIMS, "step"), flags)
    laws = found(training)
    assert laws["condition_du_start"].verdict == "holds"
    assert laws["condition_du_kernel"].verdict == "broken"
    assert "holds in 83 %" in laws["condition_du_kernel"].note
