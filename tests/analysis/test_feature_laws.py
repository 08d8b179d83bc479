"""Laws of feature learning: pre-activations, spread over seeds, the best rate; each refutes its rival."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.analysis.summaries import by_name
from widesweep.analysis.laws import find_all
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.across_rates import across, best_rates
from widesweep.analysis.reading.cell_summary import CellSummary

WIDTHS, SEEDS = np.array([64, 128, 256, 512]), 8
DIMS = ("width", "depth", "seed", "learning_rate")


def sweep(variable: str, exponent: Any, scaling: str, rates: int = 1, **section: Any) -> CellSummary:
    """Two hidden layers whose variable falls like m^exponent, or each layer like its own."""
    shape = (len(WIDTHS), 1, SEEDS, rates)
    noise = 0.1 * np.random.default_rng(5).standard_normal(shape)
    coordinates = {"width": WIDTHS, "depth": [2], "seed": range(SEEDS), "learning_rate": range(1, rates + 1)}
    powers = np.atleast_1d(exponent)
    values = np.exp(powers * np.log(WIDTHS)[:, None, None, None, None] + noise[..., None])
    layered = np.size(exponent) > 1
    cells = xr.Dataset(
        {variable: ((*DIMS, "layer"), values) if layered else (DIMS, values[..., 0])},
        coordinates | ({"layer": range(1, 4)} if layered else {}),
    )
    cells["status"] = (DIMS, np.ones(shape, dtype=np.int8))
    network = {"parameterization": scaling} | section.pop("network", {})
    return CellSummary({"network": network, "training": section}, cells, None, None, xr.Dataset())


def found(*arguments: Any, **section: Any) -> dict[str, LawResult]:
    return by_name(find_all(sweep(*arguments, **section)))


CHECKS = [f"coordinate_check_{layer}" for layer in (1, 2, 3)]
EXPONENTS = {"mup": (0.0, 0.0, 0.0), "ntk": (-0.5, -0.5, 0.0), "standard": (-1.5, -0.5, 0.0)}


@pytest.mark.parametrize("scaling", EXPONENTS)
def test_pre_activations_move_as_their_parameterisation_promises(scaling: str) -> None:
    """Each has its exponents by layer; those of the two others are inconsistent in the first layer."""
    for exponents in EXPONENTS.values():
        laws = found("pre_activation_change", exponents, scaling)
        right = exponents == EXPONENTS[scaling]
        assert laws["coordinate_check_1"].verdict == ("consistent" if right else "inconsistent")
        assert not right or all(laws[name].verdict == "consistent" for name in CHECKS)
        assert tuple(laws[name].expected for name in CHECKS) == EXPONENTS[scaling]


def test_a_module_has_no_coordinate_check() -> None:
    """How its parameters scale with the width is not known."""
    laws = found("pre_activation_change", (0.0, 0.0, 0.0), "mup", network={"parameterization": None})
    assert laws["coordinate_check_1"].verdict == "not_applicable"


def test_predictions_of_lazy_networks_spread_as_much_at_every_width_and_of_others_like_the_root() -> None:
    """−½ under mup and for centred networks, 0 for uncentred lazy ones; each refutes the other."""
    for slope in (0.0, -0.5):
        verdicts = {
            "mup": found("prediction_spread", slope, "mup")["seed_variance"].verdict,
            "centred": found("prediction_spread", slope, "ntk", network={"centered": True})[
                "seed_variance"
            ].verdict,
            "lazy": found("prediction_spread", slope, "ntk")["seed_variance"].verdict,
        }
        falling, lasting = ("inconsistent", "consistent") if slope == 0.0 else ("consistent", "inconsistent")
        assert verdicts == {"mup": falling, "centred": falling, "lazy": lasting}


def test_the_spread_over_seeds_is_the_standard_deviation() -> None:
    """Its mean square over seeds is numpy's variance over seeds, averaged over test points."""
    random = np.random.default_rng(2)
    predictions = random.standard_normal((3, 5, 2, 7))
    training = xr.Dataset(
        {"test_prediction": (("width", "seed", "step", "prediction"), predictions)},
    ).assign(status=(("width", "seed"), np.ones((3, 5), dtype=np.int8)))
    spread = across(training)["prediction_spread"]
    expected = predictions[:, :, -1].var(axis=1, ddof=1).mean(-1)
    np.testing.assert_allclose((spread**2).mean("seed"), expected, rtol=1e-12)


def test_the_best_rate_transfers_or_falls_like_the_width() -> None:
    """Slope 0 with a relative rate; −1 under Adam with standard weights; each refutes the other."""
    adam = {"optimizer": "adam", "learning_rate_unit": "absolute"}
    for slope in (0.0, -1.0):
        mup = found("best_learning_rate", slope, "mup", 4)["learning_rate_transfer"]
        standard = found("best_learning_rate", slope, "standard", 4, **adam)["learning_rate_transfer"]
        assert mup.verdict == ("consistent" if slope == 0.0 else "inconsistent")
        assert standard.verdict == ("consistent" if slope == -1.0 else "inconsistent")
        assert mup.points == standard.points == len(WIDTHS) * SEEDS
        by_table = {**adam, "learning_rate_scale": "mup"}
        table = found("best_learning_rate", slope, "mup", 4, **by_table)["learning_rate_transfer"]
        assert table.verdict == mup.verdict
    without_table = found("best_learning_rate", 0.0, "mup", 4, **adam)["learning_rate_transfer"]
    assert without_table.verdict == "not_applicable"
    with_momenta = found("best_learning_rate", 0.0, "ntk", 4, **adam)["learning_rate_transfer"]
    assert with_momenta.verdict == "not_applicable"


def test_the_best_rate_is_the_vertex_of_a_parabola() -> None:
    """log L = (log η − c)² + 1 has its least at e^c, wherever that lies between the rates."""
    rates = np.array([0.25, 0.5, 1.0, 2.0])
    for c in (-0.9, -0.5, 0.1):
        loss = np.exp((np.log(rates) - c) ** 2 + 1.0)
        best = best_rates(loss, np.full(4, 100.0), np.ones(4), rates)
        np.testing.assert_allclose(best, [np.exp(c), np.nan, np.nan, np.nan], rtol=1e-12)


def test_a_best_rate_at_the_end_of_the_grid_is_none() -> None:
    """The loss falls up to the last rate: unknown. Where the next rate diverges the last one is best."""
    rates, first = np.array([0.5, 1.0, 2.0, 4.0]), np.full(4, 9.0)
    loss = np.array([4.0, 3.0, 2.0, 1.0])
    assert np.isnan(best_rates(loss, first, np.ones(4), rates)).all()
    assert best_rates(np.where(rates > 2.0, np.nan, loss), first, np.array([1, 1, 1, 2]), rates)[0] == 2.0
    assert np.isnan(best_rates(loss, first, np.array([1, 1, 1, 0]), rates)).all()
    rounding = np.array([1e-3, 1e-30, 1e-31, 1e-3])
    assert np.isnan(best_rates(rounding, first, np.ones(4), rates)).all()
