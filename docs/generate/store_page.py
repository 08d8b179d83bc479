"""Every group and variable of a store, read off its template and the lists it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from docs.generate import everything
from docs.generate.markdown import table
from widesweep.analysis.analysis_result import law_table
from widesweep.workers.measurements import DEFAULT, MEASUREMENTS
from widesweep.workers.random_networks import STATISTICS
from widesweep.workers.random_networks.statistics import DEFAULT as DEFAULT_AT_START
from widesweep.workers.variable import CELL, Variable

HEADER = ("variable", "dimensions", "meaning", "units")
GROUPS = {
    "training": "Trained networks: one value for each cell, and for each record where `step` is a dimension.",
    "initialization": "Random networks without training: one value for each width and depth.",
    "failures": "Why cells, random networks and parts of their draws failed: texts, empty for all others.",
    "theory": "Predictions, written before the first block runs.",
    "fits": "Written by `widesweep analyze`: the late-time rate of every cell.",
    "laws": "Written by `widesweep analyze`: one entry for each law.",
    "parts": "Sums over draws of random networks, from which `/initialization` is computed; draws may grow.",
    "run": "What differs between two runs of one config: times, attempts, hosts.",
}


def page() -> str:
    """The reference, group by group.

    >>> "| `loss` |" in page()
    True
    """
    return "\n\n".join([_coordinates(), *(_group(name, text) for name, text in GROUPS.items())])


def groups() -> dict[str, xr.Dataset]:
    """Every group with everything in it, no value measured."""
    found = {name: tree.to_dataset() for name, tree in everything.template().children.items()}
    fits = everything.summary().fits
    assert fits is not None
    return found | {"fits": fits, "laws": law_table(())}


def _coordinates() -> str:
    coordinates: dict[str, xr.DataArray] = {}
    for group in groups().values():
        coordinates |= {str(name): each for name, each in group.coords.items()}
    rows = [
        (f"`{n}`", str(c.dtype).rstrip("0123456789"), str(c.attrs["description"]))
        for n, c in coordinates.items()
    ]
    return f"## Coordinates\n\n{table(('dimension', 'type', 'meaning'), rows)}"


def _group(name: str, text: str) -> str:
    group = groups()[name]
    lists: Mapping[str, Any] = {"training": MEASUREMENTS, "initialization": STATISTICS}.get(name, {})
    default = DEFAULT if name == "training" else DEFAULT_AT_START
    parts = [f"## `/{name}`\n\n{text}"]
    for measure, each in lists.items():
        when = "by default" if measure in default else f"if `{name}.measure` names it"
        parts.append(f"### `{measure}`, {when}\n\n{table(HEADER, map(_row, each.variables))}")
    parts += ["### In every sweep"] if lists else []
    owned = {v.name for each in lists.values() for v in each.variables}
    rest = [_as_variable(str(n), v) for n, v in group.data_vars.items() if n not in owned]
    return "\n\n".join([*parts, table(HEADER, map(_row, rest))])


def _as_variable(name: str, array: xr.DataArray) -> Variable:
    attributes = dict(array.attrs)
    label, units = str(attributes.pop("long_name")), str(attributes.pop("units", "1"))
    description, dims = str(attributes.pop("description", label)), tuple(map(str, array.dims))
    return Variable(name, dims, description, units, str(array.dtype), attributes, label)


def _row(variable: Variable) -> tuple[str, str, str, str]:
    meaning, names = variable.description, str(variable.attributes.get("flag_meanings", "")).split()
    if names:
        numbered = zip(variable.attributes["flag_values"], names, strict=True)
        meaning += f": {', '.join(f'{value} {flag}' for value, flag in numbered)}"
    dims = " ".join(variable.dims).replace(" ".join(CELL), "*cell*")
    return f"`{variable.name}`", dims, meaning, variable.units
