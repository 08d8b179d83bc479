"""Refusals of a wrong or damaged store that all commands that read one share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from widesweep.pipeline.commands.endings import fail
from widesweep.pipeline.errors import DamagedError


@contextlib.contextmanager
def damage_told(url: str) -> Iterator[None]:
    """What a damaged chunk, or an array's damaged metadata, makes readers raise, told by name."""
    try:
        yield
    except Exception as error:
        from widesweep.analysis.errors import NotASweep
        from widesweep.pipeline.store import verify
        from widesweep.pipeline.store.reader import Store

        if hasattr(error, "exit_code") and not isinstance(error, NotASweep):  # one of ours, or of typer's
            raise
        absent = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        if isinstance(error, OSError) and not absent:
            raise
        Store(url).check_arrays()
        if not (damages := verify.find(url)):
            raise
        raise DamagedError(url, [each.key for each in damages], damages[0].found) from None


def check_store(url: str) -> None:
    """The same refusal of a wrong store as everywhere, before anything reads it.

    Of a store on a disk every chunk's checksum is compared; an object store's are by `status --verify` alone.
    """
    from widesweep.pipeline.store import address, objects, verify
    from widesweep.pipeline.store.reader import Store

    store = Store(url)
    store.check_arrays()
    if not store.finished_blocks().any():
        fail(f"{url}: no cell is finished yet. Let `widesweep run` finish a block first.", 2)
    objects.lend_patience(url)
    if not address.is_remote(url) and (damages := verify.find(url, quick=True)):
        store.check_arrays()  # exit 2 where metadata are gone or altered
        raise DamagedError(url, [each.key for each in damages], damages[0].found)
