"""What blocks took beside the cost model, and what pairs that were not measured then cost."""

from __future__ import annotations

import numpy as np

from widesweep.pipeline.refine import measured_cost
from widesweep.pipeline.refine.measured_cost import Blocks


def test_costs_follow_measured_blocks() -> None:
    """Second route: blocks made by a known overhead and factors are forecast; without any the model stays."""
    sizes, model_s = np.array([8.0, 16.0]), np.array([1.0, 2.0, 5.0, 10.0])
    place = np.repeat(np.arange(4), 3)
    done_s = np.tile([1.0, 2.0, 4.0], 4) * model_s[place]
    exact = measured_cost.correction(sizes, sizes, Blocks(place, done_s, 0.3 + 2.0 * done_s))
    assert np.allclose([exact.block_s, *exact.factor.ravel()], [0.3, 2.0, 2.0, 2.0, 2.0])
    core_s = 0.3 + done_s * np.array([2.0, 2.0, 1.5, 1.5])[place]
    found = measured_cost.correction(sizes, sizes, Blocks(place, done_s, core_s))
    assert np.allclose(found.block_s + done_s * found.factor.ravel()[place], core_s, rtol=0.2)
    bare = measured_cost.correction(sizes, sizes, Blocks(place[:0], done_s[:0], core_s[:0]))
    assert (bare.factor == 1.0).all()


def test_what_was_not_measured_costs_as_its_neighbours() -> None:
    """Factors on a plane in the logs are found again between pairs, and stay level beyond them."""
    widths, depths = np.array([8.0, 16.0, 32.0, 64.0]), np.array([1.0, 2.0])
    factor = widths[:, None] ** 0.5 * depths**0.2
    place = np.array([0, 1, 4, 5])
    model_s = np.full(4, 1e6)
    blocks = Blocks(place, model_s, model_s * factor.ravel()[place])
    found = measured_cost.correction(widths, depths, blocks).factor
    assert np.allclose(found[:3], factor[:3], rtol=1e-3)
    assert np.allclose(found[3], found[2])


def test_new_widths_cost_as_the_widest_of_their_own_depth() -> None:
    """Factors that are no plane in the logs: each depth goes on from its own last one."""
    widths, depths = np.array([8.0, 16.0, 32.0, 64.0]), np.array([1.0, 2.0, 3.0])
    factor = np.array([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0], [1.5, 1.0, 2.0]])
    model_s = np.full(9, 1e6)
    blocks = Blocks(np.arange(9), model_s, model_s * factor.ravel())
    found = measured_cost.correction(widths, depths, blocks).factor
    assert np.allclose(found[3], factor[2], rtol=1e-3)
    one = Blocks(np.array([0, 3]), model_s[:2], model_s[:2] * [1.0, 3.0])
    assert np.allclose(measured_cost.correction(widths, depths, one).factor[3], 3.0, rtol=1e-3)
