"""Laws of random networks: yes to what obeys them, no to what does not, and calibrated intervals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.tolerances import EXACT
from widesweep.analysis.laws import depth_criticality
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.network_pairs import Pairs
from widesweep.analysis.laws.tables import RATIO_LAWS
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.theory.activations import RELU, TANH
from widesweep.theory.finite_width import fluctuations
from widesweep.theory.infinite_width.depth import finite_width_means

WIDTHS, DEPTHS = (32, 64, 128, 256), (1, 2, 4, 8)
PLACE = ("width", "depth")


def exact(name: str, width: int, depth: int) -> float:
    """What ReLU networks have."""
    widths = [width] * depth
    if name == "ntk_variance":
        return fluctuations.ntk_second_moment(widths, RELU) - 1.0
    if name == "input_gradient_excess":
        return (1.0 + fluctuations.gradient_variance(widths, 8, RELU)) / (1.0 + 2.0 / 8) - 1.0
    return fluctuations.squared_output_covariance(widths, RELU)


def summary(
    variable: str, truth: np.ndarray, predicted: np.ndarray | None, *, noise: float, seed: int = 0
) -> CellSummary:
    """A sweep that measured `truth` with relative errors `noise`; `network` as in the config."""
    draws = np.random.default_rng(seed).standard_normal(truth.shape)
    coordinates = {"width": list(WIDTHS), "depth": list(DEPTHS)}
    group = xr.Dataset(
        {
            variable: (PLACE, truth * (1 + noise * draws)),
            f"{variable}_standard_error": (PLACE, noise * np.abs(truth)),
            "status": (PLACE, np.ones(truth.shape, dtype=np.int8)),
        },
        coordinates,
    )
    theory = xr.Dataset(coords=coordinates)
    if predicted is not None:
        theory[f"{variable}_predicted"] = (PLACE, predicted, {"approximation": "exact"})
    return CellSummary({"network": {"activation": "relu"}}, None, None, group, theory)


def grid(function: object) -> np.ndarray:
    return np.array([[function(width, depth) for depth in DEPTHS] for width in WIDTHS])  # type: ignore[operator]


LAWS = {
    "output_covariance": RATIO_LAWS["output_covariance"],
    "input_gradient_excess": RATIO_LAWS["gradient_variance"],
    "ntk_variance": RATIO_LAWS["ntk_variance"],
}


@pytest.mark.parametrize("variable", LAWS)
@pytest.mark.parametrize(("power", "verdict"), [(0.0, "consistent"), (0.15, "inconsistent")])
def test_exact_values_are_consistent_and_another_power_is_not(
    variable: str, power: float, verdict: str
) -> None:
    """Measured values about the exact ones; and, as the control, those times (L/n)^0.15."""
    truth = grid(lambda width, depth: exact(variable, width, depth))
    ratio = grid(lambda width, depth: depth / width)
    (found,) = LAWS[variable].find(summary(variable, truth * ratio**power, truth, noise=0.01))
    assert found.verdict == verdict
    assert found.expected == 1.0
    assert found.points == 16


@pytest.mark.parametrize("law", ["hessian_norm", "hessian_gradient"])
@pytest.mark.parametrize(
    ("power", "verdict"), [(1.0, "consistent"), (1.6, "inconsistent"), (0.0, "inconsistent")]
)
def test_the_hessian_is_judged_by_its_order_alone(law: str, power: float, verdict: str) -> None:
    """No constant is predicted: ½ L/n (1 + L/n) is consistent; (L/n)^1.6 and a constant are not."""
    ratio = grid(lambda width, depth: depth / width)
    truth = 0.5 * ratio**power * (1.0 + ratio)
    (found,) = RATIO_LAWS[law].find(summary(RATIO_LAWS[law].variable, truth, None, noise=0.02))
    assert found.verdict == verdict
    assert "order alone" in found.note


def depth_findings(
    activation: str, variable: str, truth: np.ndarray, predicted: np.ndarray, **network: object
) -> list[LawResult]:
    facts = summary(variable, truth, predicted, noise=0.002)
    facts.config["network"] = {"activation": activation, **network}
    return depth_criticality.find(facts)


@pytest.mark.parametrize(
    ("variable", "mean", "name"),
    [
        ("kernel_mean", "kernel", "depth_criticality"),
        ("kernel_derivative_mean", "derivative", "depth_criticality_derivative"),
    ],
)
def test_tanh_falls_and_relu_stays(variable: str, mean: str, name: str) -> None:
    """tanh about its recursion has the expected exponent −1, ReLU 0; L^−½ is neither (control)."""
    tanh = grid(
        lambda width, depth: getattr(finite_width_means(width, depth, TANH, weight_variance=1.0), mean)
    )
    relu, layer = np.full(tanh.shape, 2.0), grid(lambda width, depth: depth + 1.0)
    (falls,) = depth_findings("tanh", variable, tanh, tanh)
    (stays,) = depth_findings("relu", variable, relu, relu)
    assert (falls.name, falls.verdict, falls.expected) == (name, "consistent", -1.0)
    assert (stays.name, stays.verdict, stays.expected) == (name, "consistent", 0.0)
    assert depth_findings("tanh", variable, layer**-0.5, tanh)[0].verdict == "inconsistent"
    assert depth_findings("relu", variable, 2.0 * layer**-0.5, relu)[0].verdict == "inconsistent"


def test_networks_off_criticality_have_no_law_of_depth() -> None:
    """C_W = 1.5 for tanh, or a bias: no exponent is promised."""
    truth = np.ones((4, 4))
    assert depth_findings("tanh", "kernel_mean", truth, truth, weight_variance=1.5) == []
    assert depth_findings("relu", "kernel_mean", truth, truth, bias_variance=0.1) == []


def test_draws_that_resolve_nothing_are_inconclusive() -> None:
    """Relative errors of 50 %: no pair stands out of its error, and the note says so."""
    truth = grid(lambda width, depth: exact("ntk_variance", width, depth))
    (found,) = RATIO_LAWS["ntk_variance"].find(summary("ntk_variance", truth, truth, noise=0.5))
    assert found.verdict == "inconclusive"
    assert "Draws resolve 0" in found.note


def test_no_error_is_smaller_than_each_pairs_own_draws_allow() -> None:
    """A hundred times the draws at the first pair: a tenth of the least error there, and there alone."""
    ones = np.ones(2)
    pairs = Pairs(ones, 0.1 * ones, ones, 1e-12 * ones, ones, np.ones(2, dtype=np.int64))
    few = pairs.sampled(2, 0.5 * ones, np.array([1e4, 1e4])).error
    more = pairs.sampled(2, 0.5 * ones, np.array([1e6, 1e4])).error
    np.testing.assert_allclose(more / few, [0.1, 1.0], rtol=EXACT)
    assert (pairs.sampled(2, 0.5 * ones, np.zeros(2)).error == pairs.error).all()
