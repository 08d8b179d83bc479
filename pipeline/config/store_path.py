"""A store's path as a user writes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from widesweep.pipeline.errors import InputError


def expanded(url: str) -> str:
    """The address with `~` and `$VARIABLE` replaced, in a config as on a command line; a URL stays.

    Raises:
        InputError: a variable is not set, and no such folder exists.

    >>> expanded("s3://bucket/$x.zarr")
    's3://bucket/$x.zarr'
    """
    if re.match(r"file:/(?!/)", url):
        raise InputError(
            url, "it is neither a path nor a URL", "file:///folder/a.zarr is one, as is the path"
        )
    if "://" in url or "\0" in url or _is_there(url):
        return url
    try:
        text = os.path.expandvars(str(Path(url).expanduser()))
    except RuntimeError:
        user = url.partition("/")[0]
        raise InputError(url, f"{user} is no user's folder here", "a store is a path or a URL") from None
    if unset := re.search(r"\$(\w+|\{\w+\})", text):
        raise InputError(url, f"{unset.group()} is not set", "a store is a path or a URL")
    return text


def _is_there(url: str) -> bool:
    try:
        return Path(url).exists()
    except (OSError, ValueError) as error:  # a name that is too long, a circle of links
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(url, f"it cannot be a path here ({reason})", "a store is a path or a URL") from None


def shown(url: str) -> str:
    """Where the store will lie: an absolute path, or the URL."""
    return url if "://" in url else str(Path(url).absolute())
