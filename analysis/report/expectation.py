"""What theory expects, in words: a number, a range, or a bound on one side (≥ 1)."""

from __future__ import annotations

import math
from typing import TypeGuard


def limit(expected: float | None, low: float | None, high: float | None) -> str:
    """The value in the limit; a bound where theory allows all on one side of it.

    Args:
        expected: the value; None or NaN where theory gives none.
        low: least value allowed on this grid; None or −∞ where there is none.
        high: largest value allowed on this grid; None or +∞ where there is none.

    >>> limit(1.0, 0.95, math.inf), limit(1.0, None, 1.05), limit(-0.5, -0.6, -0.4), limit(None, None, None)
    ('≥ 1', '≤ 1', '-0.5', 'none')
    """
    if not _there(expected):
        return "none"
    sign = "" if _there(low) == _there(high) else "≥ " if _there(low) else "≤ "
    return f"{sign}{expected:g}"


def allowed(low: float | None, high: float | None) -> str:
    """What a finite grid may show.

    >>> allowed(0.95, math.inf), allowed(None, 1.05), allowed(-0.6, -0.4), allowed(math.nan, math.nan)
    ('≥ 0.95', '≤ 1.05', '-0.60 to -0.40', 'none')
    """
    if _there(low) and _there(high):
        return f"{low:.2f} to {high:.2f}"
    if not _there(low) and not _there(high):
        return "none"
    return f"≥ {low:.2f}" if _there(low) else f"≤ {high:.2f}"


def _there(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
