"""A quantity carried to infinite width, with the uncertainty of how it gets there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analysis.fit import means_over_seeds

Array = NDArray[np.float64]

POWERS: tuple[tuple[float, ...], ...] = ((1.0,), (0.5,), (0.5, 1.0))
WIDTHS_FOR_BOTH = 4


class Extrapolation:
    """y(m) = y∞ + c m^−p, one y∞ and a c per depth; p = 1, p = ½ or both, averaged by Akaike's weights.

    Perturbation theory lowers the least eigenvalue of a random kernel by c/m where its noise is small
    against the spectrum's gap, and by c/√m where it is not: neither can be ruled out beforehand.

    Args:
        values: shape (width, depth, seed, rate); learning rates are averaged first, as the ratio of a rate
            to its prediction hardly depends on them. NaN where a cell has no value.
        widths: m, shape (width,).

    Source: Burnham and Anderson, Model Selection and Multimodel Inference (2002), on Akaike's weights.

    >>> m = np.array([64.0, 128, 256, 512])
    >>> noise = 1e-3 * np.random.default_rng(0).normal(size=(4, 1, 8, 1))
    >>> fitted = Extrapolation((1 - 9 / m)[:, None, None, None] + noise, m)
    >>> abs(float(fitted.limit(fitted.means)) - 1) < 3e-3
    True
    """

    def __init__(self, values: Array, widths: Array) -> None:
        """Group the values, estimate their noise per width and set up the models."""
        count = np.isfinite(values).sum(3, keepdims=True)
        self.values = np.where(
            count > 0, np.nansum(values, axis=3, keepdims=True) / np.maximum(count, 1), np.nan
        )
        self.widths = np.asarray(widths, dtype=np.float64)
        self.means = means_over_seeds(self.values)
        seeds = np.isfinite(self.values).sum(2)
        several = (seeds > 0).sum(0) >= 3  # a depth with fewer widths cannot be extrapolated
        self.used = (seeds > 0) & several
        self.weight = np.where(self.used, seeds / _variance_by_width(self.values)[:, None, None], 0.0)
        most = int((seeds > 0).sum(0).max(initial=0))
        powers = POWERS if most >= WIDTHS_FOR_BOTH else POWERS[:2]
        self._models = [self._model(p) for p in powers] if self.used.any() else []

    @property
    def possible(self) -> bool:
        """Whether some depth has three widths."""
        return bool(self._models)

    def _model(self, powers: tuple[float, ...]) -> tuple[Callable[[Array], tuple[Array, Array]], int]:
        """Maps means (…, width, depth, 1) to y∞ (…) and χ² (…); and the number of free numbers."""
        w, d, _ = np.nonzero(self.used)
        columns = [np.ones(len(w))]
        columns += [np.where(d == each, self.widths[w] ** -p, 0.0) for p in powers for each in np.unique(d)]
        root = np.sqrt(self.weight[self.used])
        design = np.stack(columns, axis=1) * root[:, None]
        inverse = np.linalg.pinv(design)

        def solve(means: Array) -> tuple[Array, Array]:
            y = np.where(np.isfinite(means), means, 0.0)[..., self.used] * root
            coefficients = y @ inverse.T
            return coefficients[..., 0], ((y - coefficients @ design.T) ** 2).sum(-1)

        return solve, len(columns)

    def _by_model(self, means: Array) -> tuple[Array, Array]:
        """y∞ of each model and the models' weights, models first."""
        solved = [(*solve(means), free) for solve, free in self._models]
        limits = np.stack([limit for limit, _, _ in solved])
        score = np.stack([-0.5 * chi - free for _, chi, free in solved])
        weight = np.exp(score - score.max(0))
        return limits, weight / weight.sum(0)

    def limit(self, means: Array) -> Array:
        """y∞ averaged over the models, from means (…, width, depth, 1)."""
        limits, weight = self._by_model(means)
        return np.asarray((limits * weight).sum(0))

    def disagreement(self) -> float:
        """Standard deviation of the models' y∞ under their weights."""
        limits, weight = self._by_model(self.means)
        centre = (limits * weight).sum(0)
        return float(np.sqrt((weight * (limits - centre) ** 2).sum(0)))


def _variance_by_width(values: Array) -> Array:
    """Variance over seeds per width, pooled over depths and drawn to the overall one; shape (width,)."""
    centred = values - means_over_seeds(values)[:, :, None, :]
    square = np.nansum(centred**2, axis=(1, 2, 3))
    degrees = np.maximum(np.isfinite(values).sum(2) - 1, 0).sum((1, 2))
    overall = square.sum() / max(degrees.sum(), 1)
    overall = overall if overall > 0 else 1.0
    return np.asarray((square + 4.0 * overall) / (degrees + 4.0))
