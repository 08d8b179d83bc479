"""What the laws look at: one number a cell, reduced from the records on Dask, and the store's predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from dask.base import compute

from widesweep.analysis.fitting import rates
from widesweep.analysis.fitting.cell_fits import cell_fits
from widesweep.analysis.reading.across_rates import last_finite
from widesweep.analysis.reading.derived import derived, per_cell
from widesweep.analysis.reading.sweep import cell_counts, configuration, section

DONE, DIVERGED, NOT_REQUESTED = 1, 2, 4
CELL = ("width", "depth", "seed", "learning_rate")


@dataclass(frozen=True)
class CellSummary:
    """A sweep reduced to memory.

    Attributes:
        config: the resolved config.
        cells: the last record of each measured variable over (width, depth, seed, learning_rate), and what
            is `derived` of all, NaN unless the cell is done; `status`; None where nothing was trained.
        fits: the group /fits; None where nothing was trained.
        initialization: the group /initialization; None where no random networks were drawn.
        theory: the predictions that laws need; empty where there are none.
    """

    config: dict[str, Any]
    cells: xr.Dataset | None
    fits: xr.Dataset | None
    initialization: xr.Dataset | None
    theory: xr.Dataset

    @property
    def network(self) -> dict[str, Any]:
        """The config's section `network`."""
        return section(self.config, "network")

    @property
    def inputs(self) -> int | None:
        """Input dimension: from the theory group or the config; None where neither says."""
        if "inputs" in self.theory.attrs:
            return int(self.theory.attrs["inputs"])
        data = section(self.config, "data")
        if data.get("inputs"):
            return int(data["inputs"])
        return 64 if data.get("source") == "digits" else None

    def counts(self) -> dict[str, int]:
        """How many cells are done, diverged, failed, pending."""
        group = self.cells if self.cells is not None else self.initialization
        if group is None:
            return cell_counts(np.zeros(0))
        return cell_counts(group["status"].values)


def gather(tree: xr.DataTree, variables: Iterable[str]) -> CellSummary:
    """Reduce a sweep to what the laws look at, in one pass of Dask over the records.

    Args:
        tree: an open sweep.
        variables: names in /training whose last record of each cell is wanted; absent ones are passed over.

    Returns:
        The summary, in memory: a few numbers per cell.

    >>> gather(xr.DataTree(xr.Dataset(attrs={"config": "{}"})), ["loss"]).cells is None
    True
    """
    config = configuration(tree)
    lazy: dict[str, xr.Dataset] = {"theory": _theory(tree)}
    if "training" in tree.children:
        training = _complete(_where_trained(_sane(tree["training"].to_dataset())))
        predicted = tree["theory"].to_dataset() if "theory" in tree.children else xr.Dataset()
        derivatives = derived(config, training, predicted).where(training["status"] == DONE)
        lazy["cells"] = last_records(training, variables).assign(derivatives)
        lazy["fits"] = fitted(config, training, predicted)
    if "initialization" in tree.children:
        lazy["initialization"] = _sane(tree["initialization"].to_dataset())
    (loaded,) = compute(lazy)  # type: ignore[no-untyped-call]  # untyped library
    return CellSummary(
        config, loaded.get("cells"), loaded.get("fits"), loaded.get("initialization"), loaded["theory"]
    )


def fitted(config: dict[str, Any], training: xr.Dataset, theory: xr.Dataset) -> xr.Dataset:
    """`cell_fits` with the precision, the optimiser and, of plain lazy descent, the prediction; lazily."""
    settings, scaling = section(config, "training"), section(config, "network").get("parameterization")
    floor = rates.ROUNDING_FLOOR.get(str(settings.get("dtype", "float64")), rates.ROUNDING_FLOOR["float64"])
    optimizer = settings.get("optimizer", "gd")
    names = ["residual_norm_predicted", "rate_predicted"]
    curve = None
    lazy = optimizer in ("gd", "gradient_flow") and scaling not in ("mup", "mean_field")
    if lazy and all(name in theory for name in names):
        curve = theory[names]
        curve = curve.sel({dim: training[dim] for dim in curve.dims if dim in training.dims})
    return cell_fits(training, curve, floor=floor, gradient_flow=optimizer == "gradient_flow")


def last_records(training: xr.Dataset, variables: Iterable[str]) -> xr.Dataset:
    """Each variable's last valid record in every cell that is done, and the share of ‖r‖ left there.

    >>> losses = xr.DataArray([[4.0, 1.0, np.nan], [4.0, 2.0, 1.0]], dims=("seed", "step"))
    >>> training = xr.Dataset({"loss": losses, "residual_norm": losses**0.5, "status": ("seed", [DONE, 0])})
    >>> last = last_records(training, ["loss"])
    >>> last["loss"].values.tolist(), last["residual_left"].values.tolist()
    ([1.0, nan], [0.5, nan])
    """
    done = training["status"] == DONE
    last = {name: per_cell(last_finite, training[name]).where(done) for name in variables if name in training}
    norm = training["residual_norm"]  # divided first: Dask would fuse away a law's own last ‖r‖
    last["residual_left"] = per_cell(last_finite, norm / norm.isel(step=0)).where(done)
    given = {name: training[name] for name in ("status", "learning_rate_absolute") if name in training}
    return xr.Dataset({**last, **given})


def _sane(group: xr.Dataset) -> xr.Dataset:
    """`status` as integers, whether or not a reader took its fill value for a gap; without texts."""
    if "status" not in group:
        return group
    return group.assign(status=group["status"].fillna(0).astype(np.int8))


def _where_trained(training: xr.Dataset) -> xr.Dataset:
    """The widths and depths with a requested cell: laws must not look for the deepest networks elsewhere."""
    requested = training["status"] != NOT_REQUESTED
    if bool(requested.all()):
        return training
    axes = [axis for axis in ("width", "depth") if axis in requested.dims]
    others = {axis: [dim for dim in requested.dims if dim != axis] for axis in axes}
    return training.isel({axis: np.flatnonzero(requested.any(others[axis]).values) for axis in axes})


def _complete(training: xr.Dataset) -> xr.Dataset:
    """NaN for what every fit looks at and this sweep chose not to measure."""
    shape = training["status"].astype(np.float64) * training["step"] * np.nan
    wanted = ("residual_norm", "ntk_min_eigenvalue", "ntk_max_eigenvalue")
    return training.assign({name: shape for name in wanted if name not in training})


def _theory(tree: xr.DataTree) -> xr.Dataset:
    if "theory" not in tree.children:
        return xr.Dataset()
    group = tree["theory"].to_dataset()
    wanted = ["lambda_min", "lambda_max", "lambda_rounding_error", "rate_predicted", "cumulant_predicted"]
    wanted += [str(n) for n in group if str(n).endswith("_predicted") and group[n].dims == ("width", "depth")]
    return group[[name for name in wanted if name in group]].drop_dims(["sample"], errors="ignore")
