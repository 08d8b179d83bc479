"""A law judges the cells that its theory speaks of, by what theory expects of them, and no others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.analysis import synthetic
from tests.analysis.summaries import by_name, summary
from tests.analysis.synthetic import SyntheticSweep
from widesweep.analysis.analysis_result import law_table
from widesweep.analysis.laws import BY_VARIANT, LAWS, VARIABLES, find_all, regime_of
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary, gather
from widesweep.analysis.report.text_table import table

DRIFTS = ("neuron_change_max", "ntk_relative_change", "pattern_change")
LAW_OF = dict(zip(DRIFTS, ("weight_drift", "kernel_drift", "pattern_change"), strict=True))
RICH = dict.fromkeys(DRIFTS, 0.0)
LAZY_ALONE = ("convergence_rate",)


def found(exponents: dict[str, float], **changes: Any) -> dict[str, LawResult]:
    """The laws of a sweep without random networks or layers."""
    sweep = SyntheticSweep(exponents=exponents, initialization=False, layers=False, spread=0.1, **changes)
    return by_name(find_all(summary(sweep)))


def as_mup(name: str = "mup") -> dict[str, Any]:
    return {"kind": "fully_connected", "network": {"parameterization": name}}


@pytest.mark.parametrize("name", ["mup", "mean_field"])
def test_features_that_move_alike_at_every_width_are_what_mup_promises(name: str) -> None:
    """Drifts of slope 0 are consistent under mup; laws of the infinite kernel do not apply, and say so."""
    laws = found(RICH, **as_mup(name))
    for law in LAW_OF.values():
        assert (laws[law].verdict, laws[law].expected) == ("consistent", 0.0)
    for law in LAZY_ALONE:
        assert laws[law].verdict == "not_applicable"
        assert np.isnan(laws[law].estimate.value)
        assert "learns features" in laws[law].note
    assert "convergence_rate_own_kernel speaks of it" in laws["convergence_rate"].note
    assert laws["convergence_rate_own_kernel"].verdict == "consistent"


def test_laziness_claimed_of_mup_and_mup_claimed_of_laziness_are_inconsistent() -> None:
    """Negative controls: the numbers of one regime under the name of the other."""
    claims_ntk, claims_mup = found(RICH, kind="fully_connected"), found({}, **as_mup())
    for law in LAW_OF.values():
        assert claims_ntk[law].verdict == "inconsistent"
        assert claims_mup[law].verdict == "inconsistent"


def test_an_absolute_rate_under_mup_or_standard_is_another_flow_at_each_width() -> None:
    """η c(m) varies with the width: no exponent; under ntk the same rate is one flow."""
    for name, verdict in (("mup", "not_applicable"), ("standard", "not_applicable"), ("ntk", "consistent")):
        absolute = {"network": {"parameterization": name}, "settings": {"learning_rate_unit": "absolute"}}
        laws = found({}, kind="fully_connected", **absolute)
        assert laws["kernel_drift"].verdict == verdict
        assert ("relative" in laws["kernel_drift"].note) == (verdict == "not_applicable")


def test_standard_at_depth_one_has_exponents_of_its_own() -> None:
    """Weights −3/2, kernel −2 are consistent; the exponents of ntk are not (control)."""
    one = {"depths": (1,), "kind": "fully_connected", "network": {"parameterization": "standard"}}
    own = {"neuron_change_max": -1.5, "ntk_relative_change": -2.0, "pattern_change": -1.5}
    right, wrong = found(own, **one), found({}, **one)
    for variable, law in LAW_OF.items():
        assert (right[law].verdict, right[law].expected) == ("consistent", own[variable])
        assert wrong[law].verdict == "inconsistent"


def test_depth_one_is_left_out_among_deeper_networks_under_standard() -> None:
    """Its kernel has another exponent than theirs: half of the cells are left out, and counted."""
    laws = found({}, kind="fully_connected", network={"parameterization": "standard"})
    assert laws["kernel_drift"].verdict == "consistent"
    assert laws["kernel_drift"].points == 48
    assert "48 of 96 finished cells are outside the law's regime" in laws["kernel_drift"].note


def test_noise_that_moves_weights_alike_at_every_width_has_no_law_of_drift() -> None:
    """Langevin's drift does not fall with the width: not applicable; at temperature 0 it is descent."""
    hot, cold = (found(RICH, settings={"optimizer": "langevin", "temperature": t}) for t in (1e-3, 0.0))
    for law in LAW_OF.values():
        assert hot[law].verdict == "not_applicable"
        assert "langevin" in hot[law].note
        assert cold[law].verdict == "inconsistent"
    assert hot["convergence_rate"].verdict == "not_applicable"


def test_rates_beyond_the_linearised_models_limit_are_left_out() -> None:
    """ηλ_max(G(0)) of 2.1 is catapult: of two rates one is left out; alone, no lazy law applies."""
    both, alone = found({}, rates=(1.0, 2.1)), found({}, rates=(2.1,))
    assert "48 of 96 finished cells" in both["weight_drift"].note
    assert both["weight_drift"].verdict == "consistent"
    assert both["weight_drift"].points == 48
    for law in (*LAW_OF.values(), "convergence_rate"):
        assert alone[law].verdict == "not_applicable"
        assert "catapult" in alone[law].note
    assert found({}, rates=(1.9,))["weight_drift"].verdict == "consistent"


def test_a_rate_in_units_of_stability_is_one_flow_at_every_width() -> None:
    """It is a multiple of 1/λ_max as a relative one is: laws of mup speak of it."""
    laws = found(RICH, **as_mup(), settings={"learning_rate_unit": "stability"})
    assert laws["kernel_drift"].verdict == "consistent"


def test_seeds_without_a_flip_take_their_shape_along() -> None:
    """Seeds flip none at the two largest widths: what is left there would flatten the slope."""
    sweep = SyntheticSweep(widths=(64, 128, 256, 512, 1024), layers=False, initialization=False)
    facts = summary(sweep)
    assert facts.cells is not None
    flips = facts.cells["pattern_change"].copy()
    flips[3:, :, 0] = 0.0
    law = by_name(find_all(replace(facts, cells=facts.cells.assign(pattern_change=flips))))["pattern_change"]
    assert law.points == 3 * 2 * 6 * 2
    assert law.verdict == "consistent"
    assert "48 cells of their shapes are left out" in law.note


def test_the_regime_is_a_sentence_in_the_store_and_on_the_terminal() -> None:
    """Every law has one, and each row of /laws shows that of its law."""
    for law in (*LAWS, *BY_VARIANT):
        sentence = regime_of(law).sentence
        assert sentence.startswith("Speaks of networks ")
        assert sentence.endswith(".")
    laws = found(RICH, **as_mup())
    stored = law_table(tuple(laws.values()))
    assert str(stored["verdict"].sel(law="convergence_rate").item()) == "not_applicable"
    assert all(str(text).startswith("Speaks of") for text in stored["regime"].values)
    shown = table({"a": {"verdict": "not_applicable", "points": 0, "note": "why.", "regime": "Speaks of x."}})
    assert "not applicable" in shown
    assert "a: why. Speaks of x." in shown


def test_two_scales_of_which_one_obeys_are_two_findings() -> None:
    """At α = 1 nuisance decay is 0.9 and holds, at α = 0.1 it is 1.7: their mean, 1.3, would refute both."""
    shape, coordinates = (4, 1, 2, 6, 1), {"output_scale": [1.0, 0.1]}
    dims = ("width", "depth", "output_scale", "seed", "learning_rate")
    noise = 0.01 * np.random.default_rng(3).standard_normal(shape)
    decay = np.array([0.9, 1.7])[:, None, None] + noise
    coordinates |= {"width": [64, 128, 256, 512], "depth": [1], "seed": range(6), "learning_rate": [1.0]}
    cells = xr.Dataset({"nuisance_decay": (dims, decay)}, coordinates)
    cells["status"] = (dims, np.ones(shape, dtype=np.int8))
    laws = by_name(find_all(CellSummary({}, cells, None, None, xr.Dataset())))
    verdicts = {name: law.verdict for name, law in laws.items() if name.startswith("nuisance")}
    assert verdicts == {
        "nuisance_decay@output_scale=1": "consistent",
        "nuisance_decay@output_scale=0.1": "inconsistent",
    }
    assert all("of 24 networks" in laws[name].note for name in verdicts)


@pytest.mark.parametrize("share", [0.01, 0.0])
def test_a_window_in_which_theory_itself_shows_another_rate_is_not_judged(share: float) -> None:
    """Labels with 1 % of the slowest mode, or none, in 1.2 of its e-folds: faster modes alone are seen.

    Control: without theory's curve the same cells are fitted, and refute the law by a factor of 3.
    """
    sweep = SyntheticSweep(depths=(1,), rates=(1.0,), steps=60, initialization=False, layers=False)
    training, theory = synthetic.training(sweep), synthetic.theory(sweep)
    slow = float(theory.rate_predicted.values.ravel()[0])
    k = training.step.astype(float)
    limit = np.sqrt(share**2 * np.exp(-2 * slow * k) + np.exp(-6 * slow * k))
    noise = 1e-3 * np.random.default_rng(4).standard_normal(training.status.shape)
    level = xr.DataArray(1.0 + noise, dims=training.status.dims)
    training["residual_norm"] = (limit**level).transpose(*training.residual_norm.dims)
    curve = limit.expand_dims(depth=theory.depth, learning_rate=theory.learning_rate)
    groups = {"/": xr.Dataset(attrs={"config": json.dumps(synthetic.config(sweep))}), "/training": training}
    blind = by_name(find_all(gather(xr.DataTree.from_dict(groups | {"/theory": theory}), VARIABLES)))
    assert blind["convergence_rate"].verdict == "inconsistent"
    assert blind["convergence_rate"].estimate.value == pytest.approx(3.0, rel=0.05)
    theory = theory.assign(residual_norm_predicted=curve)
    laws = by_name(find_all(gather(xr.DataTree.from_dict(groups | {"/theory": theory}), VARIABLES)))
    for name in ("convergence_rate", "convergence_rate_own_kernel"):
        assert laws[name].verdict == "inconclusive"
        assert laws[name].points == 0
    assert "24 whose slowest mode stays hidden" in laws["convergence_rate"].note
