"""A quantity carried to infinite width, with the uncertainty of how it gets there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from widesweep.analysis.fitting.fit import means_over_seeds

Array = NDArray[np.float64]

POWERS = (0.5, 1.0)
FEWEST_WIDTHS = 3
FINITE_SIZE = 3.0  # scale of c in 1 + c/√m: λ_min of 32 digits is 30 % low at m = 64
LARGEST_CORRECTION = 0.5
SMALLEST_NOISE = 1e-4  # standard deviation over seeds below which cells are taken to agree


class Extrapolation:
    """y(m) = y∞ + a √(m₀/m) + b m₀/m: one y∞, an a and a b per depth, m₀ the smallest width.

    Perturbation theory lowers the least eigenvalue of a random kernel like 1/m where its noise is small
    against the spectrum's gap, and like 1/√m where it is not; neither can be ruled out beforehand. Both
    terms are there, each with a normal prior of standard deviation 3/√m₀ (½ at most), so that few widths
    give a longer interval, never a wild one. What the prior leaves open is `systematic`.

    Args:
        values: shape (width, depth, seed, rate); learning rates are averaged first, as the ratio of a rate
            to its prediction hardly depends on them. NaN where a cell has no value.
        widths: m, shape (width,).

    Source: ridge regression as the posterior mean under a normal prior (Hoerl and Kennard 1970).

    >>> m = np.array([64.0, 256, 1024, 4096])
    >>> noise = 1e-3 * np.random.default_rng(0).normal(size=(4, 1, 8, 1))
    >>> fitted = Extrapolation((1 - 9 / m)[:, None, None, None] + noise, m)
    >>> abs(float(fitted.limit(fitted.means)) - 1) < 5e-3
    True
    """

    def __init__(self, values: Array, widths: Array) -> None:
        """Group the values, estimate their noise per width and set up the regression."""
        count = np.isfinite(values).sum(3, keepdims=True)
        total = np.where(np.isfinite(values), values, 0.0).sum(3, keepdims=True)
        self.values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        self.means = means_over_seeds(self.values)
        seeds = np.isfinite(self.values).sum(2)
        self._used, weight = _weights(seeds, _variance_by_width(self.values))
        self._row, self.systematic = _ridge(self._used, weight, np.asarray(widths, dtype=np.float64))

    @property
    def possible(self) -> bool:
        """Whether some depth has three widths."""
        return bool(self._used.any())

    def limit(self, means: Array) -> Array:
        """y∞ from means (…, width, depth, 1)."""
        y = np.where(np.isfinite(means), means, 0.0)[..., self._used]
        return np.asarray(y @ self._row)


def limit_weights(seeds: Array, variance: Array, widths: Array) -> tuple[Array, float]:
    """What y∞ would be made of with other numbers of seeds.

    Args:
        seeds: of each pair, shape (width, depth).
        variance: of one seed's value, shape (width,).
        widths: m, shape (width,).

    Returns:
        The weight of each mean in y∞, shape (width, depth), and the prior's share of its standard error,
        NaN where no depth has three widths.

    >>> limit_weights(np.full((2, 1), 8.0), np.ones(2), np.array([64.0, 128.0]))[1]
    nan
    """
    used, weight = _weights(seeds[..., None], variance)
    row, systematic = _ridge(used, weight, np.asarray(widths, dtype=np.float64))
    whole = np.zeros(used.shape)
    whole[used] = row
    return whole[..., 0], systematic


def _weights(seeds: NDArray[np.number], variance: Array) -> tuple[NDArray[np.bool_], Array]:
    """Which means (width, depth, 1) count, and their inverse variances; a depth needs three widths."""
    used = (seeds > 0) & ((seeds > 0).sum(0) >= FEWEST_WIDTHS)
    return used, np.where(used, seeds / variance[:, None, None], 0.0)


def _ridge(used: NDArray[np.bool_], weight: Array, widths: Array) -> tuple[Array, float]:
    """The weights of the means in y∞, shape (used means,), and the prior's share of its standard error."""
    w, d, _ = np.nonzero(used)
    if not len(w):
        return np.zeros(0), float("nan")
    smallest = widths[w].min()
    scale = min(FINITE_SIZE / float(np.sqrt(smallest)), LARGEST_CORRECTION)
    terms = [np.where(d == each, (smallest / widths[w]) ** p, 0.0) for p in POWERS for each in np.unique(d)]
    design = np.stack([np.ones(len(w)), *terms], axis=1)
    prior = np.diag([0.0] + [scale**-2] * len(terms))
    covariance = np.linalg.inv(design.T @ (weight[used][:, None] * design) + prior)
    row = covariance[0] @ (design.T * weight[used])
    return row, float(np.sqrt(covariance[0] @ prior @ covariance[0]))


def _variance_by_width(values: Array) -> Array:
    """Variance over seeds per width, pooled over depths and drawn to the overall one; shape (width,)."""
    centred = values - means_over_seeds(values)[:, :, None, :]
    square = np.nansum(centred**2, axis=(1, 2, 3))
    degrees = np.maximum(np.isfinite(values).sum(2) - 1, 0).sum((1, 2))
    overall = square.sum() / max(degrees.sum(), 1)
    return np.asarray((square + 4.0 * overall) / (degrees + 4.0) + SMALLEST_NOISE**2)
