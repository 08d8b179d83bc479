"""What was trained, whatever the laws say: curves of the loss, and maps of the grid."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from widesweep.analysis.report import figures
from widesweep.analysis.report.legend import COLOURS, MUTED

MOST_SEEDS = 16  # whose median a curve is
MOST_WIDTHS = 6  # curves in a figure
MOST_NUMBERS = 60  # of a map, beyond which they are not written into it
DARKEST = 0.5  # opacity of the largest value, under a number that can be read
DONE = 1
HIGHEST = 1e3  # ‖r‖ of the infinite width over its first, beyond which its curve ends


def curves(training: xr.Dataset, theory: xr.Dataset) -> Figure | None:
    """Median loss over seeds against the step, at the least depth and largest rate; None: none is above 0.

    Args:
        training: the group /training.
        theory: the group /theory, for the infinite width's trajectory.
    """
    if "loss" not in training or not training.sizes.get("step"):
        return None
    cells = _one_point(training).isel(seed=slice(0, MOST_SEEDS))
    widths = np.unique(np.linspace(0, cells.sizes["width"] - 1, MOST_WIDTHS).round().astype(int))
    with figures.styled():
        figure = Figure(figsize=figures.COLUMN_INCHES, layout="constrained")
        axes = figure.add_subplot()
        for place, index in enumerate(widths):
            _curve(axes, cells.isel(width=index).load(), COLOURS[place])
        _limit(axes, theory, cells)
        if not any(np.size(line.get_ydata()) for line in axes.get_lines()):  # 0 has no logarithm
            return None
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("step + 1")
        axes.set_ylabel("loss, median over seeds")
        axes.set_title(_where(cells), loc="left", fontsize=7.2)
        figure.legend(loc="outside lower center", ncols=3, handlelength=1.6, columnspacing=1.0)
        return figure


def maps(training: xr.Dataset, run: xr.Dataset) -> Figure | None:
    """Share of cells done, time a cell, and last loss, by width and depth; None: nothing was trained.

    Args:
        training: the group /training.
        run: the group /run, for the blocks' times.
    """
    if "status" not in training or {"width", "depth"} - set(training.status.dims):
        return None
    rest = [dim for dim in training.status.dims if dim not in ("width", "depth")]
    done = (training.status == DONE).load()
    panels = [("cells done, %", 100.0 * done.mean(rest).transpose("depth", "width").values)]
    seconds = _seconds(training, run, done)
    if seconds is not None:
        panels.append(("milliseconds a cell", 1e3 * seconds))
    if "loss" in training and training.sizes.get("step"):
        last = training.loss.isel(step=-1, seed=slice(0, MOST_SEEDS)).load()
        panels.append(("last loss, median", last.median(rest).transpose("depth", "width").values))
    shape = panels[0][1].shape
    with figures.styled():
        figure = Figure(figsize=(3.5, len(panels) * (0.55 + 0.2 * min(shape[0], 8))), layout="constrained")
        for axes, (title, values) in zip(
            figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
        ):
            _map(axes, title, values, training)
        axes.set_xlabel("width")
        return figure


def _one_point(training: xr.Dataset) -> xr.Dataset:
    """The least depth, the largest learning rate with a finished cell, the first value of any other axis."""
    others = set(training.loss.dims) - {"width", "depth", "seed", "learning_rate", "step"}
    cells = training.isel({"depth": 0, **dict.fromkeys(others, 0)})
    done = (cells.status == DONE).any(["width", "seed"]).values
    return cells.isel(learning_rate=int(np.flatnonzero(done)[-1]) if done.any() else -1)


def _curve(axes: Axes, cells: xr.Dataset, colour: str) -> None:
    label = f"m = {int(cells.width)}"
    for name, style in (("loss", "-"), ("test_loss", "--")):
        if name in cells:
            values = cells[name].where(cells.status == DONE).median("seed").values
            shown = np.isfinite(values) & (values > 0)
            if shown.any():
                axes.plot(
                    cells.step.values[shown] + 1,
                    values[shown],
                    style,
                    color=colour,
                    linewidth=1.1,
                    label=label,
                )
                label = "test points" if "test points" not in _labels(axes) else ""


def _labels(axes: Axes) -> list[str]:
    return [str(text) for text in axes.get_legend_handles_labels()[1]]


def _limit(axes: Axes, theory: xr.Dataset, cells: xr.Dataset) -> None:
    """½‖r‖² of the infinite width, as far as it stays near where it began: at large rates it grows."""
    if "residual_norm_predicted" not in theory:
        return
    others = set(theory.residual_norm_predicted.dims) - {"depth", "learning_rate", "step"}
    at = theory.residual_norm_predicted.isel({"depth": 0, **dict.fromkeys(others, 0)})
    norm = at.sel(learning_rate=cells.learning_rate).values
    shown = norm <= HIGHEST * norm[0]
    if shown.any():
        steps = at.step.values[shown] + 1
        axes.plot(
            steps, 0.5 * norm[shown] ** 2, ":", color=figures.INK, linewidth=1.1, label="infinite width"
        )


def _where(cells: xr.Dataset) -> str:
    return f"depth {int(cells.depth)}, learning rate {float(cells.learning_rate):g}"


def _seconds(training: xr.Dataset, run: xr.Dataset, done: xr.DataArray) -> np.ndarray | None:
    """Wall time by depth and width over the cells of their blocks."""
    if "block_wall_s" not in run or "block_cells" not in run:
        return None
    chunks = dict(zip(training.status.dims, training.status.encoding.get("chunks", ()), strict=False))
    counts = [math.ceil(n / chunks.get(d, n)) for d, n in training.status.sizes.items()]
    blocks = math.prod(counts)
    if not chunks or run.sizes["block"] < blocks or training.status.dims[:2] != ("width", "depth"):
        return None
    shape = (training.sizes["width"], training.sizes["depth"], -1)
    wall, cells = (
        np.nan_to_num(run[n].values[:blocks].astype(float)).reshape(shape)
        for n in ("block_wall_s", "block_cells")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((wall.sum(2) / cells.sum(2)).T)


def _map(axes: Axes, title: str, values: np.ndarray, training: xr.Dataset) -> None:
    known = values[np.isfinite(values)]
    top = float(known.max()) if known.size else 1.0
    for (row, column), value in np.ndenumerate(values):  # a shade of one colour suits both of a page's themes
        shade = DARKEST * float(value) / top if np.isfinite(value) and top > 0.0 else 0.0
        square = Rectangle((column, row), 1, 1, facecolor=(COLOURS[0], shade), edgecolor=MUTED, linewidth=0.4)
        axes.add_patch(square)
    axes.set_xlim(0, values.shape[1])
    axes.set_ylim(0, values.shape[0])
    widths, depths = training.width.values, training.depth.values
    every_width, every_depth = max(1, len(widths) // 8), max(1, len(depths) // 6)
    axes.set_xticks(np.arange(len(widths))[::every_width] + 0.5, [f"{w:g}" for w in widths[::every_width]])
    axes.set_yticks(np.arange(len(depths))[::every_depth] + 0.5, [f"{d:g}" for d in depths[::every_depth]])
    axes.set_ylabel("depth")
    axes.set_title(title, loc="left", fontsize=7.2)
    if values.size <= MOST_NUMBERS and len(widths) <= 10:
        for (row, column), value in np.ndenumerate(values):
            text = f"{value:.3g}" if np.isfinite(value) else "none"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=6.2)
