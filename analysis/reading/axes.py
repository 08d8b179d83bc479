"""An axis of variants, as laws that know nothing of it see it: folded into the learning rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from widesweep.analysis.reading.cell_summary import CellSummary

SCALE, FRACTION = "output_scale", "corrupted_fraction"
NAMES = {SCALE: "output scales", FRACTION: "corrupted fractions"}
SYMBOLS = {SCALE: "α", FRACTION: "corrupted"}


def pooled(summary: CellSummary) -> CellSummary:
    """The same evidence with each pair of variant and learning rate as one entry along `learning_rate`.

    Networks of one seed start from the same weights at every α and with all labels, as they do at every
    learning rate: a law that gives each learning rate its own amplitude, and resamples seeds with all their
    rates together, then treats variants as it should. Their coordinate stays, beside `learning_rate`.

    >>> coordinates = {"output_scale": [1.0, 2.0, 4.0], "learning_rate": [0.5, 1.0]}
    >>> cells = xr.Dataset({"y": (("output_scale", "learning_rate"), np.eye(3, 2))}, coordinates)
    >>> pooled(CellSummary({}, cells, None, None, xr.Dataset())).cells["output_scale"].values
    array([1., 1., 2., 2., 4., 4.])
    """
    axis = None if summary.cells is None else _axis(summary.cells)
    if summary.cells is None or axis is None:
        return summary
    values = summary.cells[axis]
    return replace(
        summary,
        cells=_folded(summary.cells, values),
        fits=None if summary.fits is None else _folded(summary.fits, values),
        theory=_folded(summary.theory, values),
    )


def apart(summary: CellSummary) -> list[tuple[str, CellSummary]]:
    """The sweep of each variant with what its laws' names get, such as "@output_scale=0.1".

    Returns:
        One pair with an empty text where the sweep has no such axis, or one value on it.

    >>> cells = xr.Dataset(coords={"output_scale": [1.0, 0.5]})
    >>> [name for name, _ in apart(CellSummary({}, cells, None, None, xr.Dataset()))]
    ['@output_scale=1', '@output_scale=0.5']
    """
    axis = None if summary.cells is None else _axis(summary.cells)
    if summary.cells is None or axis is None or summary.cells[axis].size < 2:
        return [("", pooled(summary))]
    return [
        (f"@{axis}={value:g}", _at(summary, axis, place))
        for place, value in enumerate(summary.cells[axis].values)
    ]


def _at(summary: CellSummary, axis: str, place: int) -> CellSummary:
    def one(group: xr.Dataset) -> xr.Dataset:
        return group.isel({axis: place}, drop=True) if axis in group.dims else group

    assert summary.cells is not None
    fits = None if summary.fits is None else one(summary.fits)
    return replace(summary, cells=one(summary.cells), fits=fits, theory=one(summary.theory))


def spoken(dataset: xr.Dataset | None) -> str:
    """How many variants there are, in words, pooled or not; empty where there is one.

    >>> spoken(xr.Dataset(coords={"corrupted_fraction": [0.0, 0.5]}))
    '2 corrupted fractions'
    """
    axis = None if dataset is None else _axis(dataset)
    count = 1 if dataset is None or axis is None else len(np.unique(dataset[axis]))
    return f"{count} {NAMES[axis]}" if axis is not None and count > 1 else ""


def along_rates(cells: xr.Dataset) -> tuple[tuple[str, np.ndarray], ...]:
    """Symbol and values of the variants along `learning_rate`, once pooled; nothing where there is one.

    >>> along_rates(xr.Dataset(coords={"output_scale": ("learning_rate", [1.0, 2.0])}))
    (('α', array([1., 2.])),)
    """
    axis = _axis(cells)
    return ((SYMBOLS[axis], np.asarray(cells[axis].values)),) if axis is not None and spoken(cells) else ()


def _axis(dataset: xr.Dataset) -> str | None:
    return next((name for name in NAMES if name in dataset.coords), None)


def _folded(dataset: xr.Dataset, values: xr.DataArray) -> xr.Dataset:
    """What lacks one of the two axes, such as λ, is repeated along it."""
    if "learning_rate" not in dataset.dims:
        return dataset
    axis = str(values.name)
    whole = dataset if axis in dataset.dims else dataset.assign_coords({axis: values})
    pairs = whole.stack(pair=(axis, "learning_rate"), create_index=False)
    return pairs.swap_dims(pair="learning_rate")
