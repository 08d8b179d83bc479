"""The right to write to a store: of one claim, or of one attempt at a block under it."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, WrapperStore

from widesweep.pipeline.errors import PermitLostError, StorageError
from widesweep.pipeline.store import address, conditional, objects

CLAIMS = "run/block_attempts/claims"  # inside an array's folder, where no reader of Zarr looks
WRITERS = "run/block_attempts/writers"
TRIES = 20  # of a conditional put, while a process of the same run puts the same object
REMOVALS = 20  # of a folder into which a writer that is still awake may put another file meanwhile


@dataclass(frozen=True)
class Permit:
    """What every write to a store goes through, so that another run or attempt can end it.

    On a disk it is a folder, which the driver alone makes. An object is staged in it and published by one
    rename from there; whoever takes the folder away has ended the permit. However long a writer slept between
    looking and renaming, its rename then finds no file: nothing is looked at before, so nothing can be
    outdated. An object store has no rename: there each put names the bytes that it replaces (`conditional`).

    Attributes:
        url: the store's address.
        claim: number of the claim (`claim.Claim`).
        token: tells two claims of one number apart, of which one is refused.
        attempt: which attempt at a block; empty: the driver's own permit.
    """

    url: str
    claim: int
    token: str
    attempt: str = ""

    @property
    def folder(self) -> Path:
        """Where a writer on a disk stages its files."""
        return address.local_path(self.url) / WRITERS / f"{self.claim:06d}-{self.token}" / self.attempt

    def grant(self) -> None:
        """Begins a claim's permit."""
        if not address.is_remote(self.url):
            objects.with_retries(self.url, partial(os.makedirs, self.folder))

    def of_attempt(self) -> Permit:
        """A permit for one attempt at a block, which ends with this one, or before.

        Raises:
            PermitLostError: this one has ended.
        """
        made = replace(self, attempt=uuid.uuid4().hex[:12])
        if not address.is_remote(self.url):
            self._staged(partial(os.mkdir, made.folder))
        return made

    def end(self) -> None:
        """Ends a permit that nobody uses any more."""
        if not address.is_remote(self.url):
            _take_away(self.folder)

    def revoke(self) -> None:
        """Ends an attempt's permit whose worker may live: what it puts later raises `PermitLostError`."""
        self.end()
        if address.is_remote(self.url):
            objects.put_new(self.url, f"{CLAIMS}/{self._ended}", b"")

    def end_earlier(self) -> None:
        """Ends the permits of all earlier claims, and of those that lost the race for this number."""
        if address.is_remote(self.url):
            return
        folder = self.folder
        for name in objects.names(self.url, WRITERS):
            number = name.partition("-")[0]
            if number.isdecimal() and int(number) <= self.claim and name != folder.name:
                _take_away(folder.with_name(name))

    def put(self, files: Mapping[str, bytes], patience_s: float = objects.PATIENCE_S) -> None:
        """Puts objects; a reader sees the old bytes or the new ones of each, never a part.

        Raises:
            PermitLostError: the permit has ended; what was not put yet is not put.
        """
        if not address.is_remote(self.url):
            for key, content in files.items():
                self._publish(key, content)
        elif not conditional.spoken(self.url):
            self._check()
            objects.put(self.url, files, patience_s)
        else:
            self._until_none_is_refused(
                files, lambda seen: conditional.put(self.url, {k: files[k] for k in seen}, seen, patience_s)
            )

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects; those that are not there are no error."""
        if not address.is_remote(self.url):
            for key in keys:
                self._withdraw(key)
        elif not conditional.spoken(self.url):
            self._check()
            objects.delete(self.url, keys)
        else:
            self._until_none_is_refused(keys, partial(conditional.delete, self.url))

    def copy(self, targets: Mapping[str, str]) -> None:
        """Copies objects to other keys as they are: by hard links, or through this process, as a put.

        Args:
            targets: the new key of each old one.
        """
        if address.is_remote(self.url):
            sources = list(targets)
            for first in range(0, len(sources), objects.MANY):
                found = objects.get_many(self.url, sources[first : first + objects.MANY])
                self.put({targets[key]: content for key, content in found})
            return
        root = address.local_path(self.url)
        for source, target in targets.items():
            staged = self.folder / uuid.uuid4().hex
            self._staged(partial(_link, root / source, staged))
            self._place(staged, root / target)

    def zarr_store(self) -> WrapperStore[Any]:
        """The store as Zarr opens it, whose writes need this permit."""
        if address.is_remote(self.url):
            return _PermittedStore(address.zarr_store(self.url), self)
        return _PermittedStore(LocalStore(address.local_path(self.url)), self)

    def _publish(self, key: str, content: bytes) -> None:
        staged = self.folder / uuid.uuid4().hex
        self._staged(partial(objects.write_file, staged, content))
        self._place(staged, address.local_path(self.url) / key)

    def _place(self, staged: Path, target: Path) -> None:
        try:
            self._renamed(staged, target)
        except FileNotFoundError:  # the chunk's folder is not there yet, or the permit's is gone
            if not staged.exists():
                raise self._lost() from None
            objects.with_retries(self.url, partial(os.makedirs, target.parent, exist_ok=True))
            self._staged(partial(self._renamed, staged, target))

    def _withdraw(self, key: str) -> None:
        """A deletion is a rename too: into the permit's folder."""
        staged, target = self.folder / uuid.uuid4().hex, address.local_path(self.url) / key
        try:
            self._renamed(target, staged)
        except (FileNotFoundError, NotADirectoryError):
            if not self.folder.exists():
                raise self._lost() from None
            return
        staged.unlink(missing_ok=True)

    def _renamed(self, source: Path, target: Path) -> None:
        objects.with_retries(self.url, partial(os.replace, source, target))

    def _staged(self, action: Any) -> None:
        """An action in the permit's folder, which fails once that has gone."""
        try:
            objects.with_retries(self.url, action)
        except FileNotFoundError:
            raise self._lost() from None

    def _until_none_is_refused(
        self, keys: Iterable[str], action: Callable[[dict[str, str]], list[str]]
    ) -> None:
        """Looks at objects, then whether the permit lasts, then acts on those that are still the same.

        In this order: a later claim that the second look did not see writes after the first one, and so
        changes what the condition names.
        """
        left = list(keys)
        for _ in range(TRIES):
            if not left:
                return
            seen = conditional.tags(self.url, left)
            self._check()
            left = action(seen)
        raise StorageError(self.url, f"something else keeps writing {left[0]}")

    def _check(self) -> None:
        names = objects.names(self.url, CLAIMS)
        if self._ended in names or max(claim_numbers(names), default=0) > self.claim:
            raise self._lost()

    @property
    def _ended(self) -> str:
        return f"{self.claim:06d}.{self.attempt}.ended"

    def _lost(self) -> PermitLostError:
        return PermitLostError(self.url, "this run may not write to it any more")


def claim_numbers(names: Iterable[str]) -> list[int]:
    """Numbers of the claims among the names in `CLAIMS`."""
    return [int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdecimal()]


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system knows no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        objects.write_file(target, source.read_bytes())


def _take_away(folder: Path) -> None:
    """Ends what is under way in a folder.

    Its new name stops writers that look the old one up; its removal stops those that hold the folder itself
    open, as clients of NFS do.
    """
    ended = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:12]}")
    try:
        folder.rename(ended)
    except FileNotFoundError:
        return
    for _ in range(REMOVALS):
        shutil.rmtree(ended, ignore_errors=True)
        if not ended.exists():
            return


class _PermittedStore(WrapperStore[Any]):
    """A store of Zarr whose writes go through a permit; reads are the wrapped store's."""

    def __init__(self, store: Any, permit: Permit) -> None:
        super().__init__(store)
        self._permit = permit

    def _with_store(self, store: Any) -> _PermittedStore:
        return _PermittedStore(store, self._permit)

    async def set(self, key: str, value: Any) -> None:
        await asyncio.to_thread(self._permit.put, {key: value.to_bytes()})

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        if not await self.exists(key):
            await self.set(key, value)

    async def _set_many(self, values: Iterable[tuple[str, Any]]) -> None:
        files = {key: value.to_bytes() for key, value in values}
        await asyncio.to_thread(self._permit.put, files)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._permit.delete, [key])

    async def delete_dir(self, prefix: str) -> None:
        keys = [key async for key in self.list_prefix(prefix.rstrip("/") + "/")]
        await asyncio.to_thread(self._permit.delete, keys)

    async def clear(self) -> None:
        await self.delete_dir("")
