"""What can be wrong with what an analysis is given; each carries one message for people.

AnalysisError (ValueError)
├── NotASweep      the address holds no sweep that this version reads: give another address
├── NotWritable    the laws cannot be written into the store: check permissions, or copy the store
└── NoScheduler    no Dask scheduler answers: start one, or leave --scheduler out
"""

from __future__ import annotations


class AnalysisError(ValueError):
    """Something that the user can put right."""


class NotASweep(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """The address holds no sweep that this version can read; the text says what was found."""


class NotWritable(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """The groups /fits and /laws cannot be written."""


class NoScheduler(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """No Dask scheduler answers at the address."""


def first_line(error: BaseException) -> str:
    """The gist of another library's error, for a message of one line.

    >>> first_line(OSError("disk full\\nand more"))
    'disk full'
    """
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
