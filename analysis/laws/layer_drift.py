"""Relative movement of each layer: operator norm m^−½ throughout; Frobenius m^−½ at the ends, m^−1 inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.regime import DRIFTING, MUP, NTK, STABLE, STANDARD, Regime, scaled
from widesweep.analysis.laws.kinds.width_law import Exponent, WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

Array = NDArray[np.float64]

READS = ("training/layer_relative_change", "training/layer_relative_change_frobenius")  # in the store
REGIME = Regime((scaled((NTK, STANDARD, MUP), ""), DRIFTING, STABLE))


def find(summary: CellSummary) -> list[LawResult]:
    """One law for each layer and norm, at the deepest depth alone: layers are never pooled.

    >>> find(CellSummary({}, None, None, None, __import__("xarray").Dataset()))
    []
    """
    return [finding for each in laws(summary) for finding in each.find(summary)]


def laws(summary: CellSummary) -> list[WidthLaw]:
    """The laws of the deepest networks' layers; none where nothing was trained."""
    if summary.cells is None or not summary.cells["depth"].size:
        return []
    depth = int(summary.cells["depth"].max())
    known = summary.inputs is not None
    return [law(h, depth, norm, known) for norm in ("operator", "frobenius") for h in range(1, depth + 2)]


def law(layer: int, depth: int, norm: str, inputs_known: bool = True) -> WidthLaw:
    """The law of one layer in one norm; the first one's needs the number d of inputs, if it is known.

    Under standard with η ∝ 1/m layers move as under ntk, but the first, whose rate lacks a factor m. Under
    mup all move by a share of their operator norm; an m × m layer moves in few directions of m, so that its
    Frobenius norm, √m times as large, moves by a share that falls like m^−½.

    >>> law(2, 3, "frobenius").expected, law(2, 3, "operator").expected
    (-1.0, -0.5)
    """
    hidden = 1 < layer <= depth
    exponent = -1.0 if hidden and norm == "frobenius" else -0.5
    place = "output layer" if layer == depth + 1 else "first layer" if layer == 1 else f"hidden layer {layer}"
    suffix = "_frobenius" if norm == "frobenius" else ""
    sign = "F" if norm == "frobenius" else "2"
    standard = -1.5 if layer == 1 else exponent
    mup = -0.5 if hidden and norm == "frobenius" else 0.0
    rival = -0.5 if exponent == -1.0 else -1.0
    edge = layer == 1 and norm == "operator"
    factor = r" $\times\,(1+\sqrt{d/m})$" if edge and inputs_known else ""
    return WidthLaw(
        name=f"layer_drift_{norm}_{layer}",
        title=f"{place.capitalize()}, {norm.capitalize() if norm == 'frobenius' else norm} norm",
        variable=f"layer_relative_change{suffix}",
        y_label=rf"{place}, $\Vert\Delta W\Vert_{sign} / \Vert W(0)\Vert_{sign}${factor}",
        expected=exponent,
        allowed=(exponent, exponent),
        rivals=(0.0, rival),
        layer=layer,
        depth=depth,
        elsewhere={
            STANDARD: Exponent(standard, (standard,) * 2, powers=2 if layer == 1 else 1),
            MUP: Exponent(mup, (mup,) * 2),
        },
        known_factor=_first_layer_norm if edge else None,
        extreme_factor=_first_layer_unknown if edge else None,
    )


def _first_layer_norm(summary: CellSummary, widths: Array) -> tuple[Array, str] | None:
    """‖W^(1)(0)‖₂ ≈ √m + √d of an m × d Gaussian matrix, where the law has √m."""
    inputs = summary.inputs
    if inputs is None:
        return None
    factor = 1.0 / (1.0 + np.sqrt(inputs / widths))
    return factor, f"Divided by √m/(√m + √d), as ‖W(0)‖₂ ≈ √m + √d for d = {inputs} inputs"


def _first_layer_unknown(summary: CellSummary, widths: Array) -> tuple[Array, str] | None:
    """The same where the number of inputs is not known: up to the smallest width."""
    if summary.inputs is not None:
        return None
    factor = 1.0 / (1.0 + np.sqrt(widths.min() / widths))
    return factor, "‖W(0)‖₂ ≈ √m + √d, with the number d of inputs not known,"
