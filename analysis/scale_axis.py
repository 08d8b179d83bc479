"""The axis `output_scale`, as laws that know nothing of it see it: folded into the learning rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from analysis.evidence import Evidence

AXIS = "output_scale"


def pooled(evidence: Evidence) -> Evidence:
    """The same evidence with each pair of α and learning rate as one entry along `learning_rate`.

    Networks of one seed start from the same weights at every α, as they do at every learning rate: a law that
    gives each learning rate its own amplitude, and resamples seeds with all their rates together, then treats
    α as it should. The coordinate `output_scale` stays, beside `learning_rate`.

    >>> coordinates = {"output_scale": [1.0, 2.0, 4.0], "learning_rate": [0.5, 1.0]}
    >>> cells = xr.Dataset({"y": (("output_scale", "learning_rate"), np.eye(3, 2))}, coordinates)
    >>> pooled(Evidence({}, cells, None, None, xr.Dataset())).cells["output_scale"].values
    array([1., 1., 2., 2., 4., 4.])
    """
    return replace(
        evidence,
        cells=None if evidence.cells is None else _folded(evidence.cells),
        fits=None if evidence.fits is None else _folded(evidence.fits),
        theory=_folded(evidence.theory),
    )


def _folded(dataset: xr.Dataset) -> xr.Dataset:
    """What lacks one of the two axes, such as λ, is repeated along it."""
    if not {AXIS, "learning_rate"} <= set(dataset.dims):
        return dataset
    pairs = dataset.stack(pair=(AXIS, "learning_rate"), create_index=False)
    return pairs.swap_dims(pair="learning_rate")


def scales(dataset: xr.Dataset | None) -> int:
    """How many values of α evidence has, pooled or not; 1 where it has no such axis."""
    return 1 if dataset is None or AXIS not in dataset.coords else len(np.unique(dataset[AXIS]))
