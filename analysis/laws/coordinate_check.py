"""Change of each layer's pre-activations against the width: 0 under μP; −½ inside a lazy network."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.kinds.regime import DRIFTING, MUP, NTK, STABLE, STANDARD, Regime, scaled
from widesweep.analysis.laws.kinds.width_law import Exponent, WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

READS = ("training/pre_activation_change",)  # in the store; the law's reference says so
REGIME = Regime((scaled((NTK, STANDARD, MUP), ""), DRIFTING, STABLE))


def find(summary: CellSummary) -> list[LawResult]:
    """One law for each layer of the deepest networks; none where nothing was measured.

    >>> import xarray as xr
    >>> find(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    return [finding for each in laws(summary) for finding in each.find(summary)]


def laws(summary: CellSummary) -> list[WidthLaw]:
    """The laws of the deepest networks' layers; none where nothing was trained."""
    if summary.cells is None or not summary.cells["depth"].size:
        return []
    depth = int(summary.cells["depth"].max())
    return [law(layer, depth) for layer in range(1, depth + 2)]


def law(layer: int, depth: int) -> WidthLaw:
    """The law of one layer.

    Outputs move by their distance from the labels at every width. Under ntk a neuron's z moves with its own
    output weight, by m^−½, as rows of W do. Under standard with η ∝ 1/m the first layer lacks a factor m of
    its rate, hence −3/2; every further layer moves as under ntk. Under mup each z moves by as much at every
    width: that is what the parameterisation is made for.

    Source: Yang and Hu 2021, arXiv:2011.14522, section 5; Yang et al. 2022, arXiv:2203.03466, appendix D.1.

    >>> law(1, 2).expected, law(1, 2).elsewhere["standard"].expected, law(3, 2).expected
    (-0.5, -1.5, 0.0)
    """
    output = layer == depth + 1
    place = "the outputs" if output else f"pre-activations of layer {layer}"
    lazy, standard = (0.0, 0.0) if output else (-0.5, -1.5 if layer == 1 else -0.5)
    alike = f"Change of {place} is the same at every width"
    return WidthLaw(
        name=f"coordinate_check_{layer}",
        title=alike if output else f"Change of {place} falls like m^(−1/2)",
        variable="pre_activation_change",
        y_label=rf"{place}, root mean square of $z(k) - z(0)$",
        expected=lazy,
        allowed=(lazy, lazy),
        rivals=() if output else (0.0, -1.0),
        layer=layer,
        depth=depth,
        elsewhere={
            STANDARD: Exponent(
                standard,
                (standard, standard),
                f"Change of {place} falls like m^(−3/2)" if standard == -1.5 else "",
                powers=2 if standard == -1.5 else 1,
            ),
            MUP: Exponent(0.0, (0.0, 0.0), alike),
        },
    )
