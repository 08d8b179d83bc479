"""Laws against the output scale, and what becomes of that axis in the laws against width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import xarray as xr

from tests.analysis.summaries import by_name, summary
from tests.analysis.synthetic import SyntheticSweep
from widesweep.analysis.laws import find_all
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.tables import SCALE_LAWS
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.report import figures

DIMS = ("width", "depth", "output_scale", "seed", "learning_rate")


@dataclass(frozen=True)
class ScaleSweep:
    """Cells whose movement and kernel change are A α^exponent (1 + correction·α₀/α), α₀ the smallest.

    Attributes:
        shared: standard deviation of what a seed has in common at every α.
        own: standard deviation of what each cell has for itself.
        change: relative kernel change at the smallest α.
        left: share of the residual that is left, by α.
    """

    exponent: float = -1.0
    correction: float = 0.0
    scales: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    widths: tuple[int, ...] = (64,)
    rates: tuple[float, ...] = (1.0,)
    seeds: int = 6
    shared: float = 0.2
    own: float = 0.01
    change: float = 0.05
    centered: bool = True
    activation: str = "tanh"
    unit: str = "relative"
    left: Mapping[float, float] = field(default_factory=dict)
    seed: int = 0

    def summary(self) -> CellSummary:
        noise = np.random.default_rng(self.seed)
        alpha = np.asarray(self.scales).reshape(1, 1, -1, 1, 1)
        shape = (len(self.widths), 1, alpha.size, self.seeds, len(self.rates))
        law = self.exponent * np.log(alpha / alpha.min()) + np.log1p(self.correction * alpha.min() / alpha)
        logs = {
            name: law
            + self.shared * noise.standard_normal((shape[0], 1, 1, shape[3], 1))
            + self.own * noise.standard_normal(shape)
            for name in ("parameter_change", "ntk_relative_change")
        }
        left = [self.left.get(each, 1e-9) for each in self.scales]
        coordinates = {
            "width": list(self.widths), "depth": [1], "output_scale": list(self.scales),
            "seed": range(self.seeds), "learning_rate": list(self.rates),
        }  # fmt: skip
        cells = xr.Dataset(
            {
                "parameter_change": (DIMS, np.exp(logs["parameter_change"])),
                "ntk_relative_change": (DIMS, self.change * np.exp(logs["ntk_relative_change"])),
                "residual_left": (DIMS, np.broadcast_to(np.reshape(left, (1, 1, -1, 1, 1)), shape)),
                "status": (DIMS, np.ones(shape, dtype=np.int8)),
            },
            coordinates,
        )
        config = {
            "network": {"activation": self.activation, "centered": self.centered},
            "training": {"learning_rate_unit": self.unit},
        }
        return CellSummary(config, cells, None, None, xr.Dataset())


def found(**changes: object) -> dict[str, LawResult]:
    return by_name(find_all(ScaleSweep(**changes).summary()))  # type: ignore[arg-type]


def test_a_centred_model_that_moves_like_one_over_alpha_is_consistent() -> None:
    """Both laws, with intervals around −1 and all thirty cells in the fit."""
    laws = found()
    for name in ("movement_by_scale", "kernel_change_by_scale"):
        assert laws[name].verdict == "consistent"
        assert laws[name].estimate.low < -1.0 < laws[name].estimate.high
        assert laws[name].points == 30
        assert laws[name].expected == -1.0


@pytest.mark.parametrize("exponent", [0.0, -0.5, -0.9])
def test_movement_that_falls_too_slowly_is_inconsistent(exponent: float) -> None:
    """Negative control: a model that is not lazy fails, even by a tenth of an exponent."""
    laws = found(exponent=exponent)
    assert laws["movement_by_scale"].verdict == "inconsistent"
    assert laws["kernel_change_by_scale"].verdict == "inconsistent"


@pytest.mark.parametrize("correction", [-0.1, 0.1])
def test_a_correction_as_large_as_the_kernels_change_is_no_violation(correction: float) -> None:
    """1 ± 0.1 α₀/α where the kernel changes by 5 %: the interval misses −1, the verdict stays consistent."""
    movement = found(correction=correction, own=1e-3)["movement_by_scale"]
    assert not movement.estimate.low <= -1.0 <= movement.estimate.high
    assert movement.verdict == "consistent"
    assert found(correction=correction, own=1e-3, change=1e-3)["movement_by_scale"].verdict == "inconsistent"


def test_what_a_seed_shares_at_every_scale_does_not_widen_the_interval() -> None:
    """Amplitudes that scatter by half: the slope is known from each seed's own cells."""
    assert found(shared=0.5)["movement_by_scale"].estimate.half_width < 0.02
    assert found(own=0.3)["movement_by_scale"].estimate.half_width > 0.05


def test_an_uncentred_model_gets_its_slope_and_no_expectation() -> None:
    """Its movement does not fall: a slope near 0, no verdict on it, and a figure that says so."""
    movement = found(centered=False, exponent=0.0)["movement_by_scale"]
    assert abs(movement.estimate.value) < 0.03
    assert np.isnan([movement.expected, movement.expected_low, movement.expected_high]).all()
    assert movement.verdict == "inconclusive"
    assert "not centred" in movement.note
    assert "no exponent expected" in figures.draw(movement).axes[0].get_title(loc="left")


def test_a_kernel_that_jumps_at_kinks_has_no_law() -> None:
    """ReLU: movement has its law, the kernel has none."""
    laws = found(activation="relu")
    assert laws["movement_by_scale"].verdict == "consistent"
    assert laws["kernel_change_by_scale"].verdict == "not_applicable"
    assert "kink" in laws["kernel_change_by_scale"].note


def test_absolute_learning_rates_count_only_where_training_has_ended() -> None:
    """At one η small α train more slowly: the cells that kept their residual are left out and counted."""
    left = {1.0: 0.5, 2.0: 0.05}
    movement = found(unit="absolute", left=left)["movement_by_scale"]
    assert movement.points == 18
    assert "12 cells are left out" in movement.note
    assert found(unit="relative", left=left)["movement_by_scale"].points == 30


def test_learning_rates_at_which_the_linear_model_diverges_are_left_out() -> None:
    """η = 3/λ_max: what trains there is not lazy; it is no evidence, and the note says so."""
    movement = found(rates=(1.0, 3.0))["movement_by_scale"]
    assert movement.points == 30
    assert "Learning rates from 2 are left out" in movement.note


def test_two_scales_are_inconclusive_and_no_axis_is_no_law() -> None:
    """Two points make a slope of anything; a sweep with one α is not about α."""
    laws = found(scales=(1.0, 2.0))
    assert laws["movement_by_scale"].verdict == "inconclusive"
    assert "2 output scales" in laws["movement_by_scale"].note
    assert not SCALE_LAWS["movement_by_scale"].find(summary(SyntheticSweep()))
    assert not SCALE_LAWS["kernel_change_by_scale"].find(summary(SyntheticSweep()))


def test_widths_and_learning_rates_have_amplitudes_of_their_own() -> None:
    """Two widths and two rates: one slope, a series for each, and cells that are missing do no harm."""
    sweep = ScaleSweep(widths=(64, 256), rates=(0.5, 1.0)).summary()
    assert sweep.cells is not None
    cells = sweep.cells * xr.DataArray([1.0, 7.0], dims="width")
    cells["status"] = sweep.cells["status"]
    cells["parameter_change"][0, 0, 2, 1, 0] = np.nan
    movement = SCALE_LAWS["movement_by_scale"].find(replace(sweep, cells=cells))[0]
    assert movement.verdict == "consistent"
    assert movement.points == 119
    assert len(movement.plot.series) == 4


def copied_along(plain: CellSummary, name: str, values: list[float], symbol: str) -> CellSummary:
    """The sweep at each value of an axis, amplitudes falling like 1/value."""
    axis = xr.DataArray(values, coords={name: (name, values, {"symbol": symbol})})
    assert plain.cells is not None
    assert plain.fits is not None
    cells = plain.cells / axis
    cells["status"] = plain.cells["status"].expand_dims({name: values}, axis=2)
    theory = plain.theory[["rate_predicted", "lambda_min", "lambda_max"]].expand_dims({name: values})
    theory["cumulant_predicted"] = plain.theory["cumulant_predicted"]
    cells = cells.assign_coords({name: axis[name]})
    return replace(plain, cells=cells, fits=plain.fits.expand_dims({name: values}), theory=theory)


def test_an_axis_that_no_law_knows_is_an_axis() -> None:
    """A sweep over two such axes: six variants a learning rate, and laws of one variant speak of each."""
    copied = copied_along(summary(SyntheticSweep()), "temperature", [1.0, 2.0], "T")
    laws = by_name(find_all(copied_along(copied, "pressure", [1.0, 2.0, 4.0], "p")))
    one = by_name(find_all(summary(SyntheticSweep())))
    assert laws["weight_drift"].points == 6 * one["weight_drift"].points
    assert laws["weight_drift"].estimate.value == pytest.approx(one["weight_drift"].estimate.value, rel=1e-9)
    assert "2 values of temperature and 3 values of pressure are pooled" in laws["weight_drift"].note
    assert laws["weight_drift"].plot.series[0].label == "depth 1, T = 1, p = 1, η = 0.5"
    assert "convergence_rate_own_kernel@pressure=4,temperature=2" in laws


def test_a_law_of_one_axis_gives_another_ones_values_their_own_amplitudes() -> None:
    """Movement against α, at two values of an axis beside it, seven times as much at the second."""
    sweep = ScaleSweep().summary()
    assert sweep.cells is not None
    cells = sweep.cells * xr.DataArray([1.0, 7.0], coords={"pressure": [0.0, 1.0]})
    cells["status"] = sweep.cells["status"].expand_dims(pressure=[0.0, 1.0])
    movement = SCALE_LAWS["movement_by_scale"].find(replace(sweep, cells=cells))[0]
    assert movement.verdict == "consistent"
    assert movement.points == 60
    assert [each.label for each in movement.plot.series] == ["depth 1, pressure = 0", "depth 1, pressure = 1"]


def test_laws_in_width_pool_the_axis() -> None:
    """A sweep copied to three α, amplitudes falling like 1/α: one's slopes from three times the cells."""
    plain = summary(SyntheticSweep())
    axis = [1.0, 2.0, 4.0]
    copied = copied_along(plain, "output_scale", axis, "α")
    one, three = by_name(find_all(plain)), by_name(find_all(copied))
    apart = {f"convergence_rate_own_kernel@output_scale={alpha:g}" for alpha in axis}
    assert (one.keys() - {"convergence_rate_own_kernel"}) | apart <= three.keys()
    assert three["du_convergence"].points == 3 * one["du_convergence"].points
    for name in (one.keys() & three.keys()) - {"du_convergence"}:  # a bound's least room is no amplitude
        assert three[name].estimate.value == pytest.approx(one[name].estimate.value, rel=1e-9), name
        assert three[name].verdict == one[name].verdict
    assert three["weight_drift"].points == 3 * one["weight_drift"].points
    assert "3 values of output_scale are pooled" in three["weight_drift"].note
    assert "3 values of output_scale are averaged" in three["convergence_rate"].note
    assert three["weight_drift"].plot.series[0].label == "depth 1, α = 1, η = 0.5"
