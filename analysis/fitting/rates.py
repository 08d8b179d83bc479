"""The late-time decay rate of ‖r‖ per step, fitted only after the transient and above the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OK, TRANSIENT_ONLY, FLOOR_TOO_EARLY, TOO_FEW_RECORDS, DIVERGED, NOT_DONE, HIDDEN = range(7)
FLAGS = "ok transient_only floor_reached_too_early too_few_records diverged not_done slow_mode_hidden"
WORDS = (  # the same for people, after a number of cells
    "with a window",
    "still in the transient when training ended",
    "at the rounding floor before the transient was over",
    "with too few records",
    "diverged",
    "not finished",
    "whose slowest mode stays hidden",
)
HONEST = 0.05  # how far theory's own rate in a window may be from its late-time rate

ROUNDING_FLOOR = {"float64": 1e-13, "float32": 1e-7}
FLOOR_MARGIN = 30.0  # a window stops this factor above the floor: rounding then bends log‖r‖ by 3 %
SETTLED = 0.1  # largest |d log s / d log k| of the local slope s in a window
SHORTEST_E_FOLDS = 2.0
SPANS = (12.0, 8.0, 5.0, 3.5, 2.5, SHORTEST_E_FOLDS)  # e-folds of the windows that are tried
FEWEST_RECORDS = 5


@dataclass(frozen=True)
class Window:
    """Fit of log‖r‖ = a − s·k in one window per cell; all arrays of shape (cells,).

    Attributes:
        rate: s, per step.
        error: standard error of s, settling and autocorrelation included.
        drift: d log s / d log k in the window: 0 where one mode rules, negative in the transient.
        records: records inside.
        inside: which they are, shape (cells, records).
    """

    rate: Array
    error: Array
    drift: Array
    records: NDArray[np.int64]
    inside: NDArray[np.bool_]


def late_rates(
    residual_norm: Array, step: Array, *, floor: float = ROUNDING_FLOOR["float64"]
) -> tuple[Array, Array, Array, Array, NDArray[np.int8]]:
    """Late-time decay rate s of ‖r(k)‖ ≈ A e^{−sk}, cell by cell.

    A window ends at the last record above the floor and reaches back over at least two e-folds and five
    records. It counts as late if the local slope has settled, |d log s / d log k| ≤ 0.1: a sum of decays
    is convex in log‖r‖, so its slope falls until one mode rules, and the slope that is still to be lost is
    about that number or less. It enters the standard error. The kernel's eigenvalues play no part.

    What data cannot show is a mode slower than every window whose share is still hidden at the last record.

    Args:
        residual_norm: ‖r‖₂, shape (cells, records); NaN where there is no record.
        step: recorded steps k, ascending, shape (records,).
        floor: relative residual where rounding takes over.

    Returns:
        rate, its standard error, first and last step of the window, all shape (cells,), per step or in
        steps, NaN where no fit window exists; and the flag (see `FLAGS`) that says why.

    Source: window by settling of the local slope; the standard error of a weighted least-squares line with
        the lag-one correction for autocorrelated residuals.

    >>> k = np.unique(np.geomspace(1, 400, 64).astype(int)).astype(float)
    >>> r = np.exp(-0.05 * k) + 5 * np.exp(-0.5 * k)
    >>> rate, error, start, stop, flag = late_rates(r[None, :], k)
    >>> round(float(rate[0]), 4), int(flag[0])
    (0.05, 0)
    """
    usable, floored = _above_floor(residual_norm, step, floor)
    log_norm = np.log(np.where(usable, residual_norm, 1.0))
    cells = len(residual_norm)
    rate, error, start, stop = (np.full(cells, np.nan) for _ in range(4))
    for span in SPANS:
        window = _fit(log_norm, step, _last_records(log_norm, usable, span))
        good = _is_usable(window, log_norm) & ~(window.error >= error)  # the surest window wins
        rate[good], error[good] = window.rate[good], window.error[good]
        start[good] = step[np.argmax(window.inside[good], axis=1)]
        stop[good] = step[len(step) - 1 - np.argmax(window.inside[good, ::-1], axis=1)]
    few = usable.sum(1) < FEWEST_RECORDS
    flag = np.where(floored, FLOOR_TOO_EARLY, np.where(few, TOO_FEW_RECORDS, TRANSIENT_ONLY))
    return rate, error, start, stop, np.where(np.isnan(rate), flag, OK).astype(np.int8)


def shows_late_rate(
    predicted_norm: Array, late_rate: Array, step: Array, inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether theory's own curve, fitted in a cell's window, has theory's late-time rate to 5 %.

    Where it has not, a slower mode is still hidden behind faster ones, or the labels lack it: a cell that
    obeys theory to the letter would show another rate there.

    Args:
        predicted_norm: ‖r‖₂ of the limit, shape (cells, records); NaN where there is none.
        late_rate: its rate as k → ∞ per step, shape (cells,).
        step: recorded steps, shape (records,).
        inside: the records of each window, shape (cells, records).

    Returns:
        Shape (cells,); True where theory has no curve or no rate to hold the window against.

    >>> k = np.arange(40.0)
    >>> norms = np.stack([np.exp(-0.1 * k), np.exp(-0.1 * k) + 50 * np.exp(-0.3 * k)])
    >>> shows_late_rate(norms, np.full(2, 0.1), k, np.tile(k < 15, (2, 1)))
    array([ True, False])
    """
    positive = np.isfinite(predicted_norm) & (predicted_norm > 0)
    known = np.isfinite(late_rate) & (late_rate > 0) & ~(inside & ~positive).any(1)
    rate = _fit(np.log(np.where(positive, predicted_norm, 1.0)), step, inside).rate
    away = np.abs(rate / np.where(known, late_rate, 1.0) - 1.0)
    return np.asarray(~known | (away <= HONEST))


def _above_floor(norm: Array, step: Array, floor: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Records before the first that comes near the floor, and which cells reach one."""
    valid = np.isfinite(norm) & (norm > 0)
    first = np.argmax(valid, axis=1)
    initial = np.where(valid.any(1), norm[np.arange(len(norm)), first], np.nan)
    level = np.fmax(floor * initial, _plateau(norm, step, valid))
    reached = np.isfinite(norm) & (norm <= FLOOR_MARGIN * level[:, None])
    before = ~np.logical_or.accumulate(reached, axis=1)
    return valid & before, np.asarray(reached.any(axis=1))


def _plateau(norm: Array, step: Array, valid: NDArray[np.bool_]) -> Array:
    """Level of noise at which a cell's decay stalls, else 0; shape (cells,).

    Stalled: the last e-fold took more than five times the steps an e-fold took just before, and ‖r‖ rose
    there now and then. A slow mode that comes to light is as slow, but never rises.
    """
    value = np.where(valid, norm, np.inf)
    least = value.min(axis=1)
    last = step[len(step) - 1 - np.argmax(valid[:, ::-1], axis=1)]
    crossings = [step[np.argmax(value <= least[:, None] * np.exp(e), axis=1)] for e in (4.0, 1.0)]
    e_fold_steps = (crossings[1] - crossings[0]) / 3.0
    tail = valid[:, 1:] & valid[:, :-1] & (step[None, :-1] >= crossings[1][:, None])
    rises = (tail & (norm[:, 1:] > norm[:, :-1])).sum(1)
    noisy = (rises >= 2) & (rises >= 0.2 * tail.sum(1))
    stalled = noisy & (last - crossings[1] > 5.0 * e_fold_steps) & (e_fold_steps > 0)
    return np.where(stalled, least, 0.0)


def _last_records(log_norm: Array, usable: NDArray[np.bool_], span: float) -> NDArray[np.bool_]:
    """The last usable records that span so many e-folds, one more than needed; shape (cells, records)."""
    lowest = np.where(usable, log_norm, np.inf).min(axis=1, keepdims=True)
    inside = usable & (log_norm <= lowest + span)
    first = np.argmax(inside, axis=1)
    inside[np.arange(len(inside)), np.maximum(first - 1, 0)] = True
    for _ in range(FEWEST_RECORDS):  # where records are sparse, reach further back
        short = inside.sum(1) < FEWEST_RECORDS
        first = np.argmax(inside, axis=1)
        inside[short, np.maximum(first[short] - 1, 0)] = True
    reached: NDArray[np.bool_] = inside & usable
    return reached


def _fit(log_norm: Array, step: Array, inside: NDArray[np.bool_]) -> Window:
    """Line and curvature of log‖r‖ in each window, each record weighing the steps it stands for."""
    weight = np.where(inside, np.gradient(step) if len(step) > 1 else np.ones(len(step)), 0.0)
    total = np.maximum(weight.sum(1, keepdims=True), 1e-300)
    centre = (weight * step).sum(1, keepdims=True) / total
    width = np.sqrt((weight * (step - centre) ** 2).sum(1, keepdims=True) / total)
    width = np.where(width > 0, width, 1.0)
    t = (step - centre) / width  # mean 0, variance 1 under the weights
    quadratic = t**2 - (weight * t**3).sum(1, keepdims=True) / total * t - 1.0
    mean = (weight * log_norm).sum(1, keepdims=True) / total
    linear = (weight * t * log_norm).sum(1, keepdims=True) / total
    scale = (weight * quadratic**2).sum(1, keepdims=True) / total
    bend = (weight * quadratic * log_norm).sum(1, keepdims=True) / total
    bend = np.where(scale > 1e-9, bend / np.where(scale > 1e-9, scale, 1.0), 0.0)
    rate = (-linear / width)[:, 0]
    residual = np.where(inside, log_norm - mean - linear * t - bend * quadratic, 0.0)
    drift = ((2.0 * bend / width**2) * centre)[:, 0] / np.where(rate == 0, 1.0, -rate)
    error = _noise(residual, inside) / (width[:, 0] * np.sqrt(np.maximum(inside.sum(1), 1)))
    return Window(rate, np.hypot(error, np.abs(rate * drift)), drift, inside.sum(1), inside)


def _noise(residual: Array, inside: NDArray[np.bool_]) -> Array:
    """Standard deviation about the curve, inflated for lag-one autocorrelation; shape (cells,)."""
    records = inside.sum(1)
    square = (residual**2).sum(1)
    lagged = (residual[:, 1:] * residual[:, :-1]).sum(1)
    correlation = np.clip(lagged / np.where(square > 0, square, 1.0), 0.0, 0.9)
    variance = square / np.maximum(records - 3, 1)
    return np.asarray(np.sqrt(variance * (1 + correlation) / (1 - correlation)))


def _is_usable(window: Window, log_norm: Array) -> NDArray[np.bool_]:
    """Enough records, enough decay, and a local slope that has settled."""
    high = np.where(window.inside, log_norm, -np.inf).max(1)
    low = np.where(window.inside, log_norm, np.inf).min(1)
    decay = np.where(window.records > 0, high - low, 0.0)
    settled = np.abs(window.drift) <= SETTLED
    return np.asarray(
        (window.records >= FEWEST_RECORDS)
        & (decay >= SHORTEST_E_FOLDS)
        & settled
        & (window.rate > 0)
        & (window.error <= 0.2 * window.rate)
    )
