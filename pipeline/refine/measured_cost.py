"""What a seed costs here: the cost model's forecast, corrected by the blocks that have run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

FASTEST = 1e-9  # seconds; guards divisions


@dataclass(frozen=True)
class MeasuredCost:
    """Core seconds of a block = overhead + factor(width, depth) · cells · the model's seconds of a cell.

    Attributes:
        block_s: overhead of a block.
        cell_s: seconds of one cell at each candidate, shape (widths, depths).
    """

    block_s: float
    cell_s: np.ndarray


def correct(model_s: np.ndarray, pair: np.ndarray, cells: np.ndarray, core_s: np.ndarray) -> MeasuredCost:
    """The cost model corrected by measured blocks.

    Overhead and one factor for all by non-negative least squares of relative errors; then each pair's own
    factor, the median of its blocks; a pair without any takes that of the pair that is nearest in cost.

    Args:
        model_s: the model's seconds of one cell, shape (widths, depths).
        pair: flat index of each measured block's width and depth, shape (blocks,).
        cells: cells that it computed, shape (blocks,).
        core_s: core seconds that it took, shape (blocks,).

    Returns:
        The corrected costs; the model's own where nothing was measured.

    Source: Lawson and Hanson 1974 (NNLS), as in scipy.optimize.

    >>> model = np.array([[0.1], [0.4]])
    >>> found = correct(model, np.array([0, 0, 1]), np.array([2, 4, 2]), np.array([0.5, 0.9, 1.7]))
    >>> round(found.block_s, 3), found.cell_s.round(3).tolist()
    (0.1, [[0.2], [0.8]])
    """
    good = (cells > 0) & (core_s > 0)
    pair, cells, core_s = pair[good], cells[good], core_s[good]
    if not len(pair):
        return MeasuredCost(0.0, model_s)
    forecast = np.maximum(cells * model_s.ravel()[pair], FASTEST)
    rows = np.stack([np.ones(len(pair)), forecast], axis=1) / core_s[:, None]
    both, _ = optimize.nnls(rows, np.ones(len(pair)))
    overhead = min(float(both[0]), 0.9 * float(core_s.min()))
    factors = np.full(model_s.size, np.nan)
    for each in np.unique(pair):
        mine = pair == each
        factors[each] = np.median((core_s[mine] - overhead) / forecast[mine])
    known = np.flatnonzero(np.isfinite(factors))
    logs = np.log(np.maximum(model_s.ravel(), FASTEST))
    nearest = known[np.abs(logs[:, None] - logs[known]).argmin(1)]
    factors = np.where(np.isfinite(factors), factors, factors[nearest])
    return MeasuredCost(overhead, model_s * np.maximum(factors, FASTEST).reshape(model_s.shape))
