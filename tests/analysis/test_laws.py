"""Laws say yes to what obeys them, no to what does not, and so when they cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.summaries import by_name, summary
from tests.analysis.synthetic import SyntheticSweep
from tests.tolerances import MONTE_CARLO_SE
from widesweep.analysis.laws import find_all, weight_drift
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.weight_drift import largest_half_normal


def law_results(**changes: object) -> dict[str, LawResult]:
    return by_name(find_all(summary(SyntheticSweep(**changes))))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lawful() -> dict[str, LawResult]:
    return law_results()


def test_a_lawful_sweep_is_consistent_with_every_law(lawful: dict[str, LawResult]) -> None:
    """Every exponent is the theory's: every verdict is consistent, and Du's bound holds."""
    assert {name for name, f in lawful.items() if f.verdict != "consistent"} == {"du_convergence"}
    assert lawful["du_convergence"].verdict == "holds"
    assert {"convergence_rate", "weight_drift", "kernel_drift", "cumulant_4", "cumulant_6"} <= lawful.keys()


def test_every_layer_has_a_law_in_both_norms(lawful: dict[str, LawResult]) -> None:
    """Depth 2: three layers; the hidden one falls like 1/m in Frobenius norm, all others like 1/√m."""
    expected = {f"layer_drift_{n}_{h}": -0.5 for n in ("operator", "frobenius") for h in (1, 2, 3)}
    expected["layer_drift_frobenius_2"] = -1.0
    assert {n: f.expected for n, f in lawful.items() if n.startswith("layer")} == expected
    for name, exponent in expected.items():
        assert abs(lawful[name].estimate.value - exponent) < 0.12


@pytest.mark.parametrize("exponent", [0.0, -0.25])
def test_weights_that_hardly_settle_with_width_are_inconsistent(exponent: float) -> None:
    """Negative control: mean-field-like movement breaks the law, for signs and Gaussian weights alike."""
    for kind in ("two_layer", "fully_connected"):
        found = law_results(exponents={"neuron_change_max": exponent}, kind=kind, spread=0.1)
        assert found["weight_drift"].verdict == "inconsistent"
        assert "above what theory allows" in found["weight_drift"].note


def test_a_kernel_that_does_not_settle_is_inconsistent() -> None:
    """Negative control for the kernel."""
    assert law_results(exponents={"ntk_relative_change": 0.0})["kernel_drift"].verdict == "inconsistent"


@pytest.mark.parametrize("correction", [-1.5, 1.5])
def test_a_finite_size_correction_is_no_violation(correction: float) -> None:
    """m^−½ (1 ± 1.5/√m) with hardly any noise: the plain slope is off, and the verdict stays consistent."""
    found = law_results(correction=correction, spread=0.01)["weight_drift"]
    assert abs(found.estimate.value + 0.5) > 0.03
    assert not found.estimate.low <= -0.5 <= found.estimate.high
    assert found.verdict == "consistent"


def test_a_wrong_rate_is_inconsistent_with_both_kernels() -> None:
    """Negative control: decay 1.7 times too fast fails against the infinite and the own kernel."""
    found = law_results(rate_factor=1.7)
    assert found["convergence_rate"].verdict == "inconsistent"
    assert found["convergence_rate_own_kernel"].verdict == "inconsistent"
    assert found["convergence_rate_own_kernel"].estimate.value == pytest.approx(1.7, abs=0.02)


def test_rates_below_the_limit_at_finite_width_extrapolate_to_it() -> None:
    """Rates 12 % low at m = 64 and 4 % low at 512 are consistent with slope 1, and with their own kernels."""
    found = law_results(rate_deficit=(1.0, 0.5), seeds=8)
    assert found["convergence_rate"].verdict == "consistent"
    assert found["convergence_rate"].estimate.low < 1 < found["convergence_rate"].estimate.high


def test_cumulants_follow_the_exact_values_where_these_bend(lawful: dict[str, LawResult]) -> None:
    """Theory's slope on these pairs exceeds the limit, and the data follow theory's."""
    found = law_results(widths=(8, 16, 32, 64), depths=(1, 2, 4))["cumulant_6"]
    assert found.expected == 2.0
    assert found.expected_low > 2.0
    assert found.verdict == "consistent"


def test_a_wrong_cumulant_slope_is_inconsistent() -> None:
    """Negative control: measured values compared with predictions of another slope."""
    facts = summary(SyntheticSweep(cumulant_error=0.01))
    assert facts.initialization is not None
    ratio = facts.initialization["depth"] / facts.initialization["width"]
    facts.initialization["cumulant"] = facts.initialization["cumulant"] * ratio**0.1
    assert by_name(find_all(facts))["cumulant_4"].verdict == "inconsistent"


def test_a_sweep_without_a_finished_cell_is_inconclusive() -> None:
    """All cells pending: laws are there, undecided, with the reason."""
    shape = np.ndindex(4, 2, 6, 2)
    found = law_results(states=dict.fromkeys(shape, 0), initialization=False)
    assert {f.verdict for f in found.values()} == {"inconclusive"}
    assert "0 widths have cells to fit" in found["weight_drift"].note
    assert "96 pending" in found["weight_drift"].note


def test_two_widths_are_inconclusive() -> None:
    """Two widths make a slope of anything."""
    found = law_results(widths=(64, 128))
    assert found["weight_drift"].verdict == "inconclusive"
    assert found["convergence_rate"].verdict == "inconclusive"


def test_a_long_interval_is_inconclusive_and_states_its_power() -> None:
    """Two seeds with a scatter of 60 %: the interval says nothing, and the note says what it would take."""
    found = law_results(seeds=2, spread=0.6, depths=(1,), rates=(1.0,))["weight_drift"]
    assert found.verdict == "inconclusive"
    assert "would be seen to differ" in found.note


def test_a_single_seed_decides_no_law_of_trained_networks() -> None:
    """One seed per width: slopes without intervals, whatever the rates and drifts are; the notes say why."""
    for wrong in ({}, {"rate_factor": 1.7, "exponents": {"neuron_change_max": 0.0}}):
        found = law_results(seeds=1, initialization=False, **wrong)
        for name in ("convergence_rate", "weight_drift", "kernel_drift", "layer_drift_operator_1"):
            assert found[name].verdict == "inconclusive"
            assert np.isfinite(found[name].estimate.value)
            assert "Add seeds" in found[name].note


def test_diverged_cells_are_left_out_and_counted() -> None:
    """A learning rate past the edge: its cells are counted, the others fitted."""
    states = {(w, d, s, 1): 2 for w in range(4) for d in range(2) for s in range(6)}
    found = law_results(states=states)
    assert found["weight_drift"].verdict == "consistent"
    assert found["weight_drift"].points == 48
    assert "left out: 48 diverged" in found["weight_drift"].note


def test_laws_that_a_sweep_does_not_concern_are_left_out() -> None:
    """No training: only cumulants; no random networks: no cumulants."""
    assert set(law_results(training=False)) == {"cumulant_4", "cumulant_6"}
    assert not {"cumulant_4", "cumulant_6"} & set(law_results(initialization=False))


def test_a_layer_that_does_not_train_has_no_law() -> None:
    """Output weights held fixed: zero movement is no evidence of anything."""
    facts = summary(SyntheticSweep())
    assert facts.cells is not None
    for name in ("layer_relative_change", "layer_relative_change_frobenius"):
        facts.cells[name].loc[{"layer": 3}] = 0.0
    names = {f.name for f in find_all(facts)}
    assert "layer_drift_operator_3" not in names
    assert "layer_drift_operator_2" in names


def test_the_largest_half_normal_agrees_with_monte_carlo() -> None:
    """E max of 64 half-normals by quadrature, against 20,000 draws."""
    draws = np.abs(np.random.default_rng(0).standard_normal((20_000, 64))).max(1)
    assert abs(largest_half_normal(64) - draws.mean()) < MONTE_CARLO_SE * draws.std() / np.sqrt(20_000)


def test_gaussian_output_weights_allow_a_shallower_slope_and_signs_do_not() -> None:
    """The farthest of m Gaussian neurons gains about 0.1 in the exponent between 64 and 512."""
    low, high = {}, {}
    for kind in ("two_layer", "fully_connected"):
        found = by_name(weight_drift.LAW.find(summary(SyntheticSweep(kind=kind))))["weight_drift"]
        low[kind], high[kind] = found.expected_low, found.expected_high
    assert high["fully_connected"] - high["two_layer"] == pytest.approx(0.11, abs=0.02)
    assert low["fully_connected"] == low["two_layer"]
