"""Cumulants of one output, κ_{2k}/K^k, by the conditional variance q: given the hidden layers z ~ N(0, q)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from widesweep.workers.networks.two_layer import TwoLayer
from widesweep.workers.random_networks import conditional_variance, signed_sum
from widesweep.workers.random_networks.measurement import PLACE, Case, Measurement, Prediction, Result
from widesweep.workers.variable import Variable

if TYPE_CHECKING:
    from widesweep.workers.random_networks.measurement import Settings

_PLACE = (*PLACE, "order")


def statistics(settings: Settings) -> int:
    """Powers 0 … highest order / 2."""
    return max(settings.orders) // 2 + 1


def means(case: Case, draws: int, random: np.random.Generator) -> np.ndarray:
    """Means of powers over draws (Rao–Blackwell: given the hidden layers the output's moments are known)."""
    sampler = signed_sum if isinstance(case.network, TwoLayer) else conditional_variance
    highest = statistics(case.settings) - 1
    return np.asarray(sampler.power_means(case, draws, highest, random))


def summary(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    """From means of powers to κ_{2k}/K^k, index k."""
    two_layer = isinstance(case.network, TwoLayer)
    return signed_sum.normalised_cumulants if two_layer else conditional_variance.normalised_cumulants


def store(case: Case, values: np.ndarray, errors: np.ndarray) -> Result:
    """The chosen orders, and how many draws they are made of."""
    chosen = [order // 2 for order in case.settings.orders]
    draws = np.full(len(chosen), case.settings.draws, dtype=np.int64)
    return {"cumulant": values[chosen], "cumulant_standard_error": errors[chosen], "draws": draws}


def predict(case: Case) -> dict[str, Prediction]:
    """Exact where the activation allows, leading order elsewhere."""
    return {
        "cumulant_predicted": case.network.predicted_cumulants(case.width, case.depth, case.settings.orders)
    }


_MEANING = "κ_order / K^(order/2) of one output over random networks, K its variance"
MEASUREMENT = Measurement(
    variables=(
        Variable("cumulant", _PLACE, _MEANING),
        Variable("cumulant_standard_error", _PLACE, "its standard error, jackknife over 64 groups of draws"),
        Variable("draws", _PLACE, "number of random networks drawn", dtype="int64"),
    ),
    predicted=(Variable("cumulant_predicted", _PLACE, "κ_order / K^(order/2) of one output, predicted"),),
    statistics=statistics,
    means=means,
    summary=summary,
    store=store,
    predict=predict,
    draw_s=conditional_variance.draw_s,
    part_draws=conditional_variance.part_draws,
    any_network=True,
)  # fmt: skip
