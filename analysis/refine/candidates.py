"""Where cells may be added: a grid of (width, depth), what is there already, what a seed costs, what fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Pairs of width and depth to which seeds may be added, present ones and new ones.

    Of random networks a "seed" is a unit of draws, at a single rate.

    Attributes:
        widths: m, ascending, shape (width,).
        depths: L, ascending, shape (depth,).
        rates: learning rates as in the config, shape (rate,).
        seeds: seeds already asked for, shape (width, depth, rate).
        seed_s: forecast seconds of one more seed at one learning rate, shape (width, depth).
        block_s: forecast seconds that a seed costs however many rates it trains at, shape (width, depth).
        allowed: whether cells fit the machine's memory, shape (width, depth).
    """

    widths: Array
    depths: Array
    rates: Array
    seeds: Array
    seed_s: Array
    block_s: Array
    allowed: NDArray[np.bool_]

    def cost_s(self, added: Array, rates: NDArray[np.bool_]) -> float:
        """Forecast seconds of `added` seeds (width, depth) at these rates (mask)."""
        return float((added * self.unit_s(rates)).sum())

    def unit_s(self, rates: NDArray[np.bool_]) -> Array:
        """Forecast seconds of one more seed at these rates (mask), shape (width, depth)."""
        return np.asarray(self.block_s + int(rates.sum()) * self.seed_s)

    def counts(self, added: Array, rates: NDArray[np.bool_]) -> Array:
        """Seeds after `added` (…, width, depth) more at these rates, shape (…, width, depth, rate)."""
        return np.asarray(self.seeds + added[..., None] * rates)


def between_and_beyond(sizes: Array) -> Array:
    """Widths or depths there, their geometric means, one and two doublings beyond the largest, ascending.

    >>> between_and_beyond(np.array([64.0, 256.0]))
    array([  64.,  128.,  256.,  512., 1024.])
    """
    present = np.unique(np.asarray(sizes, dtype=np.float64))
    between = np.rint(np.sqrt(present[1:] * present[:-1]))
    return np.unique(np.concatenate([present, between, present[-1] * np.array([2.0, 4.0])]))
