"""The laws: an entry in `tables`, or a file and a line in `LAWS`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

from widesweep.analysis.laws import (
    convergence,
    coordinate_check,
    cumulants,
    depth_criticality,
    iterations,
    label_corruption,
    layer_drift,
    learning_rate_transfer,
    own_kernel,
    seed_variance,
    weight_drift,
)
from widesweep.analysis.laws.bounds import BOUND_LAWS
from widesweep.analysis.laws.kinds.law_result import LawResult, not_applicable
from widesweep.analysis.laws.kinds.regime import Regime
from widesweep.analysis.laws.large_rates import LARGE_RATE_LAWS
from widesweep.analysis.laws.tables import RATIO_LAWS, SCALE_LAWS, SUBSPACE_LAWS, WIDTH_LAWS
from widesweep.analysis.reading.axes import apart, pooled
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.theory.registry import PlugInError, Registry, last_line

Law = Callable[[CellSummary], list[LawResult]]


def _accepted(name: str, found: object) -> Law:
    """A function from a summary to results, an object with such a method `find`, or a class of such."""
    made = found() if isinstance(found, type) else found
    law: object = getattr(made, "find", made)
    if not callable(law):
        raise TypeError(f"it is {type(found)}, neither a function of a CellSummary nor an object with `find`")
    return cast(Law, law)


OWN_LAWS: Registry[Law] = Registry("law", _accepted, {})

LAWS: tuple[Law, ...] = (  # these see an axis of variants as more learning rates
    convergence.find,
    own_kernel.find,
    weight_drift.LAW.find,
    *(law.find for law in WIDTH_LAWS.values()),
    layer_drift.find,
    coordinate_check.find,
    seed_variance.find,
    cumulants.find,
    *(law.find for law in RATIO_LAWS.values()),
    depth_criticality.find,
    *(law.find for law in SUBSPACE_LAWS.values()),
    iterations.find,
    learning_rate_transfer.find,
    *(law.find for law in BOUND_LAWS.values()),
    *(law.find for law in LARGE_RATE_LAWS.values()),
)
EACH_VARIANT = (own_kernel.find, *(law.find for law in SUBSPACE_LAWS.values()))  # of LAWS: a result for each
BY_VARIANT: tuple[Law, ...] = (*(law.find for law in SCALE_LAWS.values()), label_corruption.find)

VARIABLES = (
    "neuron_change_max",
    "ntk_relative_change",
    "pattern_change",
    "layer_relative_change",
    "layer_relative_change_frobenius",
    "parameter_change",
    "ntk_min_eigenvalue",
    "ntk_max_eigenvalue",
    "pre_activation_change",
    "sharpness",
)


def own(laws: Iterable[object]) -> tuple[Law, ...]:
    """Laws of one's own: objects, functions, classes, or `package.module:Name`.

    Raises:
        PlugInError: one cannot be imported, or is no law.

    >>> own([weight_drift.LAW]) == (weight_drift.LAW.find,)
    True
    """
    return tuple(OWN_LAWS.get(law) if isinstance(law, str) else OWN_LAWS.accepted(law) for law in laws)


def variables(laws: Iterable[Law]) -> tuple[str, ...]:
    """The measured variables that all laws read, those of one's own included: their `variable` or `reads`."""
    found = list(VARIABLES)
    for law in laws:
        owner = getattr(law, "__self__", law)
        found += [*getattr(owner, "reads", ()), *filter(None, [getattr(owner, "variable", None)])]
    return tuple(dict.fromkeys(found))


def find_all(summary: CellSummary, more: Iterable[Law] = ()) -> list[LawResult]:
    """The results of every law that concerns the sweep, in the order of the list, and of one's own.

    A law is fitted to the cells in its regime alone; where there are none, it is `not_applicable`.

    Raises:
        PlugInError: a law of one's own raises, or gives something else, or a name that another law has.

    >>> import xarray as xr
    >>> find_all(CellSummary({}, None, None, None, xr.Dataset()))
    []
    """
    together, each = pooled(summary), apart(summary)
    law_results = [
        replace(result, name=result.name + variant)
        for law in LAWS
        for variant, one in (each if law in EACH_VARIANT else [("", together)])
        for result in _within(law, one)
    ]
    law_results += [result for law in BY_VARIANT for result in _within(law, summary)]
    for law in more:
        law_results += _of_ones_own(law, together, {result.name for result in law_results})
    return law_results


def _of_ones_own(law: Law, summary: CellSummary, taken: set[str]) -> list[LawResult]:
    try:
        found = _within(law, summary)
    except Exception as error:
        raise PlugInError(f"{_name(law)}: {last_line(error)}") from error
    if any(not isinstance(result, LawResult) or result.name in taken for result in found):
        raise PlugInError(f"{_name(law)}: a law gives LawResults, of names that no other law has")
    return found


def _name(law: Law) -> str:
    owner = getattr(law, "__self__", law)
    return str(getattr(owner, "name", None) or getattr(owner, "__name__", type(owner).__name__))


def regime_of(law: Law) -> Regime:
    """Where a law speaks: `regime` of the object that it is a method of, or `REGIME` of its file, or all.

    >>> regime_of(cumulants.find).sentence
    'Speaks of networks at initialisation, whatever trains them later.'
    """
    owner = getattr(law, "__self__", None)
    found = getattr(sys.modules[law.__module__], "REGIME", None) if owner is None else owner
    regime = found if isinstance(found, Regime) else getattr(found, "regime", None)
    return regime if isinstance(regime, Regime) else Regime()


def _within(law: Law, summary: CellSummary) -> list[LawResult]:
    """What the law finds in its regime, with the regime and what lies outside in words."""
    regime = regime_of(law)
    inside, left_out = regime.within(summary)
    if inside is None:
        return [
            replace(not_applicable(f.name, f.title, left_out), regime=regime.sentence) for f in law(summary)
        ]
    return [
        replace(f, regime=regime.sentence, note=" ".join(filter(None, (f.note, left_out))))
        for f in law(inside)
    ]
