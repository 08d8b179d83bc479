"""Which pixels a filter sees: pieces of an image that a shift brings onto other pieces of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

PADDINGS = ("zero", "circular")
Spans = list[tuple[slice, slice]]


def spans(length: int, shift: int, padding: str) -> Spans:
    """Pieces (to, source) of one axis with source = to + shift; what comes from beyond the edge is left out.

    Args:
        length: pixels along the axis.
        shift: of any size and sign.
        padding: what lies beyond the edge: `zero`, or `circular`, the opposite edge.

    >>> spans(4, 1, "zero")
    [(slice(0, 3, None), slice(1, 4, None))]
    >>> spans(4, -1, "circular")
    [(slice(0, 1, None), slice(3, 4, None)), (slice(1, 4, None), slice(0, 3, None))]
    """
    if padding == "circular":
        around = shift % length
        if around == 0:
            return [(slice(0, length), slice(0, length))]
        cut = length - around
        return [(slice(0, cut), slice(around, length)), (slice(cut, length), slice(0, around))]
    if abs(shift) >= length:
        return []
    first, last = max(0, -shift), length - max(0, shift)
    return [(slice(first, last), slice(first + shift, last + shift))]


def filter_pieces(
    height: int, width: int, size: int, padding: str
) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """The offsets o of a q × q filter, row by row, each with the pieces (to, source) of p ← p + o.

    Args:
        height: pixels of an image along its first axis.
        width: along its second.
        size: q, odd.
        padding: as for `spans`.

    Yields:
        The offset's number from 0, and slices of height and width to and from.

    >>> len(list(filter_pieces(8, 8, 3, "zero"))), len(list(filter_pieces(8, 8, 3, "circular")))
    (9, 25)
    """
    reach = size // 2
    shifts = range(-reach, reach + 1)
    for number, (down, across) in enumerate(product(shifts, shifts)):
        for (to_row, row), (to_column, column) in product(
            spans(height, down, padding), spans(width, across, padding)
        ):
            yield number, (to_row, to_column), (row, column)
