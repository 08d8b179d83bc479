"""α multiplies the network and nothing else: what that says of parameterisations, weights and η."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import EXACT
from tests.workers.blocks import block, sphere
from widesweep.workers.measurements import TRAINING_VARIABLES
from widesweep.workers.networks import FullyConnected, RandomFeatures
from widesweep.workers.training.block_training import run

WIDTH = 16
RATES = {"learning_rates_absolute": (1.5, 3.0)}


def test_mean_field_is_the_lazy_network_with_one_over_root_m_in_front() -> None:
    """ntk with α = 1/√m trains to the numbers of mean_field, biases included; with α = 1/m it does not."""
    settings = {"weight_variance": 2.0, "bias_variance": 0.1}
    mean_field = run(block(FullyConnected(parameterization="mup", **settings), WIDTH, **RATES), sphere())
    scaled, wrong = (
        run(block(FullyConnected(output_scale=alpha, **settings), WIDTH, **RATES), sphere())
        for alpha in (WIDTH**-0.5, 1.0 / WIDTH)
    )
    for variable in TRAINING_VARIABLES:
        np.testing.assert_allclose(
            scaled[variable.name], mean_field[variable.name], rtol=EXACT, atol=EXACT, err_msg=variable.name
        )
    assert not np.allclose(wrong["loss"], mean_field["loss"], rtol=0.01)


def test_another_scale_begins_with_the_same_weights_and_a_linear_model_keeps_its_path() -> None:
    """Random features, centred: with η/α² the weights move 1/α as far, at every record."""
    one = run(block(RandomFeatures(centered=True), WIDTH, 1, learning_rates_absolute=(0.4, 0.8)), sphere())
    network = RandomFeatures(centered=True).at_scale(4.0)
    four = run(block(network, WIDTH, 1, learning_rates_absolute=(0.4 / 16, 0.8 / 16)), sphere())
    np.testing.assert_allclose(four["residual_norm"], one["residual_norm"], rtol=EXACT)
    np.testing.assert_allclose(4.0 * four["parameter_change"], one["parameter_change"], rtol=EXACT)
    assert float(one["parameter_change"].isel(step=-1).min()) > 0


def test_a_list_has_no_alpha_of_its_own() -> None:
    """What would train takes one of them first; a kernel of several is a defect, not a guess."""
    several = FullyConnected(output_scale=(1.0, 2.0))
    assert several.output_scales == (1.0, 2.0)
    assert several.at_scale(2.0).alpha == 2.0
    assert several.at_scale(2.0).output_scales is None
    with pytest.raises(TypeError, match="2 output scales"):
        several.tangent_kernel(np.eye(2), 1)
