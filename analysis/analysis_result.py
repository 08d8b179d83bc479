"""The analysis of a store, end to end: fits and laws on Dask, written back as /fits and /laws."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from widesweep.analysis import cluster
from widesweep.analysis.errors import NotWritable
from widesweep.analysis.laws import find_all, own, variables
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.cell_summary import CellSummary, gather
from widesweep.analysis.reading.sweep import open_sweep
from widesweep.analysis.storing import put_groups

LAW_NUMBERS = ("slope", "slope_low", "slope_high", "expected", "expected_low", "expected_high", "r_squared")
_DESCRIPTIONS = {
    "law": "name of the law",
    "slope": "fitted slope of the law",
    "slope_low": "lower end of the slope's 95 % interval, bootstrap over seeds",
    "slope_high": "upper end of the slope's 95 % interval, bootstrap over seeds",
    "expected": "slope in the limit",
    "expected_low": "least slope that theory allows on this grid, finite size included",
    "expected_high": "largest slope that theory allows on this grid, finite size included",
    "r_squared": "share of the variance that the fit explains, in the logs",
    "points": "cells, or (width, depth) pairs of random networks, in the fit",
    "verdict": "consistent, inconsistent or inconclusive with [expected_low, expected_high]; not_applicable; "
    "of a bound: holds, broken or vacuous",
    "note": "reasons for the verdict",
    "title": "the law in words",
    "regime": "of which networks and cells the law speaks",
}


@dataclass(frozen=True)
class AnalysisResult:
    """What an analysis found.

    Attributes:
        summary: the sweep reduced to a few numbers per cell.
        law_results: one per law.
    """

    summary: CellSummary
    law_results: tuple[LawResult, ...]

    @property
    def laws(self) -> dict[str, dict[str, Any]]:
        """The laws as `analyze --json` prints them; what is not a number is None."""
        return {result.name: _as_json(result) for result in self.law_results}

    def as_json(self) -> dict[str, Any]:
        """The object that `analyze` returns."""
        return {"laws": self.laws, "cells": self.summary.counts()}


def examine(url: str | Path, scheduler: str | None = None, laws: Iterable[object] = ()) -> AnalysisResult:
    """Analyse a sweep without writing anything; safe while the sweep runs.

    Args:
        url: the store.
        scheduler: address of a Dask scheduler (tcp://…); None for threads of this process.
        laws: the reader's own: functions of a `CellSummary`, objects with `find`, or `package.module:Name`.

    Returns:
        The cell summary and the law results.

    Raises:
        NotASweep: see `open_sweep`.
        PlugInError: a law of one's own cannot be imported, is no law, or raises.

    >>> examine("missing.zarr")
    Traceback (most recent call last):
    widesweep.analysis.errors.NotASweep: missing.zarr: ...
    """
    tree = open_sweep(url)
    more = own(laws)
    with _arithmetic_unsaid():
        with cluster.on(scheduler):
            summary = gather(tree, variables(more))
        return AnalysisResult(summary, tuple(find_all(summary, more)))


@contextlib.contextmanager
def _arithmetic_unsaid() -> Iterator[None]:
    """Without numpy's warnings, in Dask's threads too: residuals of 0 or an η of 1e308 are findings."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        yield


def judged_as(url: str | Path, claimed: str | Path) -> dict[str, LawResult]:
    """What the laws find in one sweep's numbers where another's config and predictions are claimed of them.

    A negative control: a sweep with one thing wrong must not pass for what it is not.

    Args:
        url: the store whose numbers are judged.
        claimed: the store whose config and group /theory are taken for its own.

    Returns:
        The results by the law's name.

    Raises:
        NotASweep: see `open_sweep`.

    >>> judged_as("missing.zarr", "missing.zarr")
    Traceback (most recent call last):
    widesweep.analysis.errors.NotASweep: missing.zarr: ...
    """
    tree, other = open_sweep(url), open_sweep(claimed)
    tree.attrs["config"] = other.attrs["config"]
    if "theory" in other.children:
        tree["theory"] = other["theory"]
    with cluster.on(None):
        summary = gather(tree, variables(()))
    return {result.name: result for result in find_all(summary)}


def analyze(url: str | Path, scheduler: str | None = None, laws: Iterable[object] = ()) -> dict[str, Any]:
    """Fit every cell and every law, and write the groups /fits and /laws in place of older ones.

    Args:
        url: the store.
        scheduler: address of a Dask scheduler (tcp://…); None for threads of this process.
        laws: the reader's own, as for `examine`.

    Returns:
        {"laws": {name: {slope, slope_low, slope_high, expected, expected_low, expected_high, r_squared,
        points, verdict, note, regime}}, "cells": {"done", "diverged", "failed", "pending"}}.

    Raises:
        NotASweep: see `open_sweep`.
        NotWritable: the groups cannot be written.
        NoScheduler: no scheduler answers, or its cluster gives up.

    >>> analyze("missing.zarr")
    Traceback (most recent call last):
    widesweep.analysis.errors.NotASweep: missing.zarr: ...
    """
    result = examine(url, scheduler, laws)
    write(url, result)
    return result.as_json()


def write(url: str | Path, result: AnalysisResult, *, consolidate: bool = True) -> None:
    """Write the groups /fits and /laws in place of older ones, which stay if that cannot be done.

    Args:
        url: the store.
        result: what `examine` found.
        consolidate: whether the root gathers their metadata; not while a run, which does so, may change it.

    Raises:
        NotWritable: they cannot be written.

    >>> write.__name__
    'write'
    """
    groups = {"laws": law_table(result.law_results)}
    if result.summary.fits is not None:
        groups["fits"] = result.summary.fits
    try:
        put_groups(url, groups, consolidate=consolidate)
    except OSError as error:
        raise NotWritable(url, error) from error


def law_table(law_results: tuple[LawResult, ...]) -> xr.Dataset:
    """The group /laws: one entry per law.

    >>> dict(law_table(()).sizes)
    {'law': 0}
    """
    columns: dict[str, list[Any]] = {name: [_number(f, name) for f in law_results] for name in LAW_NUMBERS}
    columns["points"] = [f.points for f in law_results]
    for name in ("verdict", "note", "title", "regime"):
        columns[name] = [getattr(f, name) for f in law_results]
    dtypes = dict.fromkeys(LAW_NUMBERS, np.float64) | {"points": np.int64}
    variables = {
        name: ("law", np.array(values, dtype=dtypes.get(name, object)), _attributes(name))
        for name, values in columns.items()
    }
    names = np.array([f.name for f in law_results], dtype=object)
    return xr.Dataset(variables, coords={"law": ("law", names, _attributes("law"))})


def _number(result: LawResult, name: str) -> float:
    estimate = result.estimate
    shortcuts = {"slope": estimate.value, "slope_low": estimate.low, "slope_high": estimate.high}
    return shortcuts[name] if name in shortcuts else float(getattr(result, name))


def _attributes(name: str) -> dict[str, str]:
    return {"long_name": name.replace("_", " "), "units": "1", "description": _DESCRIPTIONS[name]}


def _as_json(result: LawResult) -> dict[str, Any]:
    numbers = {name: _number(result, name) for name in LAW_NUMBERS}
    row: dict[str, Any] = {name: v if math.isfinite(v) else None for name, v in numbers.items()}
    words = {name: getattr(result, name) for name in ("verdict", "note", "regime")}
    return row | {"points": result.points, **words}
