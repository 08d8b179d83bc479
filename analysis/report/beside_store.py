"""A report of a store in an object store, put beside it there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import fsspec

from widesweep.analysis.report import page


def write(url: str, laws: Iterable[object] = ()) -> str:
    """Write the report of a remote store as `<store without .zarr>-report` beside it.

    Args:
        url: the store's address, such as s3://bucket/demo.zarr.
        laws: the reader's own, as for `examine`.

    Returns:
        Address of index.html, the last file that is put.

    Raises:
        NotASweep: there is no store.
        OSError: the object store refuses the files.
    """
    target = f"{url.rstrip('/').removesuffix('.zarr')}-report"
    system, place = fsspec.core.url_to_fs(target)
    with tempfile.TemporaryDirectory(prefix="widesweep-report-") as folder:
        index = page.write(url, Path(folder), laws=laws)
        for file in sorted(Path(folder).iterdir(), key=lambda each: each == index):
            system.pipe_file(f"{place}/{file.name}", file.read_bytes())
    return f"{target}/{index.name}"
