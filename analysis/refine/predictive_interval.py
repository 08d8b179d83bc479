"""What an analysis may measure after a round: the median, the band around it, and how sure a forecast is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BAND = (0.05, 0.95)  # of what may be measured: a band with 90 %
CLOSE = 0.25  # forecast over measured, off 1 by no more than this
OFTEN = 0.9  # how often a forecast is to be as close


@dataclass(frozen=True)
class PredictiveInterval:
    """Half-widths that may be measured.

    Attributes:
        median: as often more as less is measured.
        low: lower end of the band that holds 90 % of them.
        high: its upper end.
        close: share of them that the median is within 25 % of.
    """

    median: float
    low: float
    high: float
    close: float

    @property
    def is_sure(self) -> bool:
        """Whether nine forecasts of ten like this are within 25 % of what is then measured."""
        return self.close >= OFTEN

    def seeds_needed(self, seeds: float) -> int:
        """Seeds at each pair with which nine of ten would be, where there are `seeds` now.

        What a variance misses shrinks like one over the root of its degrees of freedom.

        >>> PredictiveInterval(1.0, 0.6, 1.7, 0.6).seeds_needed(5)
        23
        """
        reach = float(np.log(self.high / self.low)) / 2.0
        return int(np.ceil(1.0 + (seeds - 1.0) * (reach / np.log1p(CLOSE)) ** 2))


def predictive_interval(half_widths: Array) -> PredictiveInterval:
    """Of half-widths that are drawn from what may be measured, shape (draws,).

    >>> predictive_interval(np.linspace(0.9, 1.1, 201))
    PredictiveInterval(median=1.0, low=0.91, high=1.09, close=1.0)
    """
    median = float(np.median(half_widths))
    low, high = np.quantile(half_widths, BAND)
    close = np.abs(median / np.maximum(half_widths, 1e-300) - 1.0) <= CLOSE
    return PredictiveInterval(median, float(low), float(high), float(close.mean()))
