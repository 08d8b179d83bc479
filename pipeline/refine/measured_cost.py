"""What a seed or a draw costs here: the cost model's forecast, corrected by the blocks that have run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

FASTEST = 1e-9  # seconds; guards divisions
LEAST_SHARE = 0.1  # of the shortest block: what is left for its cells beside the overhead
OWN_S = 0.02  # model seconds of a pair's blocks at which its own factor counts as much as that of all


@dataclass(frozen=True)
class Blocks:
    """Blocks that have run.

    Attributes:
        place: flat index of each one's width and depth, shape (blocks,).
        model_s: the model's seconds of what it computed.
        core_s: core seconds that it took.
    """

    place: np.ndarray
    model_s: np.ndarray
    core_s: np.ndarray


@dataclass(frozen=True)
class Correction:
    """Core seconds of a block = overhead + factor(width, depth) · the model's seconds.

    Attributes:
        block_s: overhead of a block.
        factor: shape (widths, depths).
    """

    block_s: float
    factor: np.ndarray


def correction(widths: np.ndarray, depths: np.ndarray, blocks: Blocks) -> Correction:
    """How measured blocks differ from the cost model.

    Overhead and one factor for all by non-negative least squares of relative errors; then each pair's own
    factor, its blocks' seconds over the model's, drawn to that of all where they are short. A pair without
    any takes its factor from the measured widths of its depth, in the logs between them and that of the
    nearest beyond them; a depth without any takes its factors from other depths in the same way.

    Args:
        widths: m, shape (widths,).
        depths: L, shape (depths,).
        blocks: what was measured at some of these pairs.

    Returns:
        The correction; none where nothing was measured.

    Source: Lawson and Hanson 1974 (NNLS), as in scipy.optimize.

    >>> blocks = Blocks(np.array([0, 0, 1]), np.array([0.2, 0.4, 0.8]), np.array([0.5, 0.9, 1.7]))
    >>> found = correction(np.array([8.0, 16.0, 32.0]), np.array([1.0]), blocks)
    >>> round(found.block_s, 3), found.factor.round(3).ravel().tolist()
    (0.1, [2.0, 2.0, 2.0])
    """
    good = (blocks.model_s > 0) & (blocks.core_s > 0)
    place, core_s = blocks.place[good], blocks.core_s[good]
    factor = np.ones((len(widths), len(depths)))
    if not len(place):
        return Correction(0.0, factor)
    model_s = np.maximum(blocks.model_s[good], FASTEST)
    rows = np.stack([np.ones(len(place)), model_s], axis=1) / core_s[:, None]
    both, _ = optimize.nnls(rows, np.ones(len(place)))
    overhead = min(float(both[0]), (1.0 - LEAST_SHARE) * float(core_s.min()))
    every = max(float((core_s - overhead).sum() / model_s.sum()), FASTEST)
    own = np.full(factor.size, np.nan)
    for each in np.unique(place):
        mine = place == each
        own[each] = ((core_s[mine] - overhead).sum() + OWN_S * every) / (model_s[mine].sum() + OWN_S)
    own = own.reshape(factor.shape)
    along_width = np.apply_along_axis(_filled, 0, own, np.log(widths))
    return Correction(overhead, np.apply_along_axis(_filled, 1, along_width, np.log(depths)))


def _filled(values: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """Missing factors from their neighbours', lines in the logs, level beyond the last; all where none is."""
    known = np.isfinite(values)
    if not known.any():
        return values
    return np.where(known, values, np.exp(np.interp(log_x, log_x[known], np.log(values[known]))))
