"""The section `initialization`: what may be measured on what, the cost of draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import draws

Write = Callable[..., Path]

WRONG = {
    "an unknown name": (["cumulant"], {}, "nearest is 'cumulants'"),
    "points without data": (["joint_cumulants"], {"data": None, "training": None}, "without data"),
    "a gradient without data": (["input_gradient"], {"data": None, "training": None}, "without data"),
    "random signs": (
        ["ntk_diagonal"],
        {"network": {"kind": "two_layer"}, "grid": {"depth": [1]}},
        "fully connected networks alone",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_measurement_that_cannot_be_made_is_refused(write_config: Write, case: str) -> None:
    """The message names what is missing, before anything starts."""
    measure, sections, told = WRONG[case]
    with pytest.raises(InputError, match=told):
        configs.load(write_config(initialization={"measure": measure}, **sections))


def test_a_point_beyond_the_training_points_is_refused(write_config: Write) -> None:
    """Four training points are 0 to 3."""
    settings = {"measure": ["joint_cumulants"], "points": [0, 4]}
    with pytest.raises(InputError, match="point 4 of 4"):
        configs.load(write_config(initialization=settings))


def test_a_measurement_is_kept_whatever_the_order_it_is_named_in(write_config: Write) -> None:
    """Two orders of the same names are one config."""
    names = ["kernel_depth", "cumulants"]
    one, two = (
        configs.load(write_config(initialization={"measure": each})).config for each in (names, names[::-1])
    )
    assert one.hash == two.hash


def test_the_forecast_of_a_draw_grows_as_drawing_does(write_config: Write) -> None:
    """ReLU at any width costs the same, tanh in proportion to it, and more than ReLU."""
    settings = {"draws": 10_000}
    relu = configs.load(write_config(initialization=settings)).config
    tanh = configs.load(write_config(initialization=settings, network={"activation": "tanh"})).config
    assert draws.pair_s(relu, 64, 3) == draws.pair_s(relu, 512, 3)
    assert draws.pair_s(tanh, 512, 3) == pytest.approx(8 * draws.pair_s(tanh, 64, 3))
    assert draws.pair_s(tanh, 64, 3) > 5 * draws.pair_s(relu, 64, 3)


def test_a_billion_draws_are_cut_for_many_cores(write_config: Write) -> None:
    """Every core has several blocks, none is shorter than a second or two, and files are few."""
    from widesweep.pipeline.plan import blocks as plans
    from widesweep.workers.data import Dimensions

    sweep = configs.load(write_config(initialization={"draws": 10**9}, training=None))
    made = plans.make(sweep.config, Dimensions(4, 5), cores=64)
    assert len(made) >= 2 * 64
    assert made.block_seconds().max() < 0.1 * made.total_s / 4
    assert len(made) < plans.MANY_OBJECTS
