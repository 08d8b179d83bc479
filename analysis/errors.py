"""What can be wrong with what an analysis is given; each carries one message for people.

AnalysisError (ValueError)
├── NotASweep      the address holds no sweep that this version reads: give another address
├── NotWritable    the laws cannot be written into the store: a right or room is missing
├── NotOurPage     a report would replace a page that is none: give another folder
└── NoScheduler    no Dask scheduler answers, or its cluster gave up: start one, or leave --scheduler out
"""

from __future__ import annotations

import errno


class AnalysisError(ValueError):
    """Something that the user can put right; a command ends with `exit_code`."""

    exit_code = 2


class NotASweep(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """The address holds no sweep that this version can read; the text says what was found."""


class NotWritable(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """The groups /fits and /laws cannot be written.

    Attributes:
        read_only: whether this user may only read the store; else a disk or a server refused.
    """

    def __init__(self, url: object, error: OSError) -> None:
        """Keeps the gist of what the system said."""
        self.read_only = isinstance(error, PermissionError) or error.errno in (errno.EROFS, errno.EACCES)
        reason = error.strerror or first_line(error)
        super().__init__(f"{url}: the laws were not stored ({reason}); what was measured is as it was.")


class NotOurPage(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """A report's folder has an index.html that is no report."""


class NoScheduler(AnalysisError):  # noqa: N818  (says what is so, as the others)
    """No Dask scheduler answers at the address, or its cluster gave up."""


def first_line(error: BaseException) -> str:
    """The gist of another library's error, for a message of one line.

    >>> first_line(OSError("disk full\\nand more"))
    'disk full'
    """
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
