"""Largest movement of a first-layer neuron: m^−½."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, special

from widesweep.analysis.laws.kinds.regime import MUP, STANDARD
from widesweep.analysis.laws.kinds.width_law import Exponent, WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

Array = NDArray[np.float64]


def largest_half_normal(count: int) -> float:
    """E[max_r |a_r|] of so many independent a_r ~ N(0, 1): ∫ 1 − erf(t/√2)^m dt.

    A neuron moves in proportion to its output weight; the farthest of m neurons with Gaussian output
    weights thus moves like m^−½ times this slowly growing factor.

    >>> round(largest_half_normal(1), 6) == round((2 / np.pi) ** 0.5, 6)
    True
    """
    value, _ = integrate.quad(lambda t: 1.0 - special.erf(t / np.sqrt(2.0)) ** count, 0.0, 40.0, limit=200)
    return float(value)


def _largest_output_weight(summary: CellSummary, widths: Array) -> tuple[Array, str] | None:
    if summary.network.get("kind") == "two_layer":
        return None  # output weights are signs
    factors = np.array([largest_half_normal(int(m)) for m in widths])
    return factors, "The largest of m Gaussian output weights (E max|a_r|, exact)"


LAW = WidthLaw(
    name="weight_drift",
    title="Farthest neuron moves like 1/√m",
    variable="neuron_change_max",
    y_label=r"farthest neuron, $\max_r \Vert\Delta w_r\Vert$ ($w \sim N(0, I)$)",
    expected=-0.5,
    allowed=(-0.5, -0.5),
    rivals=(0.0, -1.0),
    extreme_factor=_largest_output_weight,
    elsewhere={
        STANDARD: Exponent(-1.5, (-1.5, -1.5), "Farthest neuron moves like m^(−3/2)", powers=2),
        MUP: Exponent(0.0, (0.0, 0.0), "Farthest neuron moves as far at every width"),
    },
)
