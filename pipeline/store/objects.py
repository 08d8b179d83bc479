"""Objects of a store by key, on a disk or in an object store: each put is whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from widesweep.pipeline.errors import AccessError, InputError, StorageError
from widesweep.pipeline.store import address

PATIENCE_S = 300.0  # how long an object store may be gone before a run gives up
PROBES = "run/block_attempts/probes"
MANY = 256  # objects asked for together
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
_REFUSALS = (errno.EINVAL, errno.EPERM, errno.EACCES, errno.ENAMETOOLONG, errno.EMSGSIZE)
_NO_PLACE = (errno.ELOOP, errno.ENAMETOOLONG)  # on a disk
_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "urllib3", "gcsfs", "azure")

T = TypeVar("T")


def with_retries(url: str, action: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What an action on a store returns; tried again while a remote store's server does not answer.

    Raises:
        FileNotFoundError, FileExistsError, NotADirectoryError: as the action does.
        InputError: a local path that no file system takes.
        StorageError: a local disk refused, or the server was gone for longer than `patience_s`.
    """
    end, wait_s = time.monotonic() + patience_s, FIRST_WAIT_S
    while True:
        try:
            return action()
        except (FileNotFoundError, FileExistsError, NotADirectoryError):
            raise
        except Exception as error:
            if not isinstance(error, OSError) and not _is_of_a_client(error):
                raise
            if isinstance(error, OSError) and error.errno in _NO_PLACE and not address.is_remote(url):
                raise InputError(
                    url, f"it is no place for a store ({_reason(error)})", "another path"
                ) from None
            if address.is_remote(url) and _is_of_rights(error):
                raise AccessError(url, _reason(error)) from None
            if not is_transient(url, error) or time.monotonic() + wait_s > end:
                raise StorageError(url, _reason(error)) from None
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def is_transient(url: str, error: Exception) -> bool:
    """Whether the same request may succeed later: a remote server's trouble, not a refusal of ours."""
    if not address.is_remote(url) or isinstance(error, _FINAL):
        return False
    name = type(error).__name__
    return (isinstance(error, OSError) and error.errno not in _REFUSALS) or (
        _is_of_a_client(error) and "Credential" not in name and "Validation" not in name
    )


def lend_patience(url: str) -> None:
    """Lets this process's other readers of an S3 store, which know nothing of `with_retries`, wait as long.

    They are botocore's own retries, by the environment variables that it reads; the user's values rule.
    """
    if address.is_remote(url):
        os.environ.setdefault("AWS_RETRY_MODE", "standard")
        os.environ.setdefault("AWS_MAX_ATTEMPTS", "25")  # pauses up to 20 s: three to four minutes in all


def exists(url: str) -> bool:
    """Whether there is a Zarr v3 hierarchy at an address."""
    if address.is_remote(url):
        with _rights_told(url, "read"):
            return get(url, "zarr.json") is not None
    return (address.local_path(url) / "zarr.json").is_file()


def check_writable(url: str) -> None:
    """Puts, lists and deletes an object of no meaning in an object store, before anything is begun.

    Raises:
        InputError: the credentials lack one of these rights; names it, and where they come from.
    """
    if address.is_remote(url):
        key = f"{PROBES}/{uuid.uuid4().hex}"
        with _rights_told(url, "write"):
            put_new(url, key, b"")
        with _rights_told(url, "list"):
            names(url, PROBES)
        with _rights_told(url, "delete"):
            delete(url, [key])


@contextlib.contextmanager
def _rights_told(url: str, right: str) -> Iterator[None]:
    try:
        yield
    except AccessError as error:
        found = f"the right to {right} is missing ({error.reason})"
        wanted = f"credentials that have it; these are from {address.credentials_source(url)}"
        raise InputError(url, found, wanted) from None


def is_free(url: str) -> bool:
    """Whether a new store can be made at an address: nothing there, or an empty folder."""
    if address.is_remote(url):
        return not exists(url)
    path = address.local_path(url)
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def get(url: str, key: str) -> bytes | None:
    """An object's bytes; None where there is none."""
    try:
        return with_retries(url, lambda: _read(url, key))
    except (FileNotFoundError, NotADirectoryError):
        return None


def get_many(url: str, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Those of the objects that are there; of an object store many at once."""
    if not address.is_remote(url):
        for key in keys:
            if (content := get(url, key)) is not None:
                yield key, content
        return
    system, path = address.filesystem(url)
    for first in range(0, len(keys), MANY):
        names = {f"{path}/{key}": key for key in keys[first : first + MANY]}
        found = with_retries(url, partial(_cat_those_there, system, list(names)))
        yield from ((names[name], bytes(content)) for name, content in found.items())


def get_ends(url: str, keys: Sequence[str], length: int) -> Iterator[tuple[str, bytes]]:
    """The last bytes of those objects that are there."""
    if address.is_remote(url):
        yield from ((key, content[-length:]) for key, content in get_many(url, keys))
        return
    for key in keys:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield key, with_retries(url, partial(_end_of, address.local_path(url) / key, length))


def put(url: str, files: Mapping[str, bytes], patience_s: float = PATIENCE_S) -> None:
    """Puts objects; a reader sees the old bytes or the new ones of each, never a part."""
    if not address.is_remote(url):
        root = address.local_path(url)
        for key, content in files.items():
            with_retries(url, partial(_replace, root / key, content))
        return
    system, path = address.filesystem(url)
    with_retries(
        url, lambda: system.pipe({f"{path}/{key}": content for key, content in files.items()}), patience_s
    )


def put_new(url: str, key: str, content: bytes) -> bool:
    """Puts an object where none is; False where one is. Of many that try, one succeeds."""
    try:
        with_retries(url, lambda: _create(url, key, content))
    except FileExistsError:
        return get(url, key) == content  # an answer that was lost on the way: it was ours
    return True


def delete(url: str, keys: Iterable[str]) -> None:
    """Deletes objects, of an object store many at once; those that are not there are no error."""
    if not address.is_remote(url):
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                with_retries(url, (address.local_path(url) / key).unlink)
        return
    system, path = address.filesystem(url)
    left = [f"{path}/{key}" for key in keys]
    for batch in (left[first : first + MANY] for first in range(0, len(left), MANY)):
        try:
            with_retries(url, partial(system.rm, batch))
        except FileNotFoundError:  # some stores delete none of them then
            for each in batch:
                with contextlib.suppress(FileNotFoundError):
                    with_retries(url, partial(system.rm_file, each))


def prune(url: str, keys: Iterable[str]) -> None:
    """Removes the folders of objects that were deleted, where nothing is left in them."""
    if address.is_remote(url):
        return
    root = address.local_path(url)
    folders = {parent for key in keys for parent in Path(key).parents if parent != Path()}
    for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        with contextlib.suppress(OSError):  # not empty
            (root / folder).rmdir()


def mark(url: str, key: str) -> str:
    """What tells an object from the one that was there before it; empty where there is none."""
    try:
        return with_retries(url, lambda: _mark(url, key))
    except FileNotFoundError:
        return ""


def names(url: str, folder: str) -> list[str]:
    """Names of the objects directly in a folder, unordered; none where there is no folder."""
    try:
        return with_retries(url, lambda: _list(url, folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def keys_below(url: str, folder: str) -> list[str]:
    """Keys of all objects below a folder, sorted; reads the whole list, so never in a run's way."""
    if not address.is_remote(url):
        root = address.local_path(url)
        return sorted(
            file.relative_to(root).as_posix() for file in (root / folder).rglob("*") if file.is_file()
        )
    system, path = address.filesystem(url)
    found = with_retries(url, lambda: system.find(f"{path}/{folder}"))
    return sorted(str(key).removeprefix(f"{path}/") for key in found)


def put_hierarchy(url: str, files: Mapping[str, bytes]) -> None:
    """Puts a whole new store: a folder appears in one step, an object store gets the root's metadata last.

    Raises:
        InputError: the folder that holds it cannot be made.
        OSError: the place was taken meanwhile, or the disk refused.
    """
    if address.is_remote(url):
        put(url, {key: content for key, content in files.items() if key != "zarr.json"})
        put(url, {"zarr.json": files["zarr.json"]})
        return
    target = address.local_path(url)
    target = target.resolve() if target.is_dir() else target  # a link to an empty folder stays a link
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"its folder cannot be made ({error.strerror})"
        raise InputError(url, reason, "a store needs a place to write") from None
    built = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        for folder in {(built / key).parent for key in files}:
            folder.mkdir(parents=True, exist_ok=True)
        for key, content in files.items():
            write_file(built / key, content)
        move_into_place(built, target)
    finally:
        shutil.rmtree(built, ignore_errors=True)


def move_into_place(built: Path, target: Path) -> None:
    """Makes a folder the store."""
    built.rename(target)


def _read(url: str, key: str) -> bytes:
    if not address.is_remote(url):
        return (address.local_path(url) / key).read_bytes()
    system, path = address.filesystem(url)
    return bytes(system.cat_file(f"{path}/{key}"))


def _end_of(file: Path, length: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(-min(length, os.fstat(opened.fileno()).st_size), os.SEEK_END)
        return opened.read()


def _cat_those_there(system: Any, names: list[str]) -> dict[str, bytes]:
    """Contents by name; an object that is not there is left out, any other trouble is raised."""
    found = system.cat(names, on_error="return")
    for content in found.values():
        if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
            raise content
    return {name: content for name, content in found.items() if not isinstance(content, Exception)}


def _create(url: str, key: str, content: bytes) -> None:
    if address.is_remote(url):
        system, path = address.filesystem(url)
        try:
            system.pipe_file(f"{path}/{key}", content, mode="create")
        except OSError as error:
            if error.errno == errno.EINVAL:  # how s3fs tells "412 Precondition Failed"
                raise FileExistsError(key) from None
            raise
        return
    target = address.local_path(url) / key
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        part.write_bytes(content)
        os.link(part, target)  # refuses where a file is, and is whole from its first moment
    finally:
        part.unlink(missing_ok=True)


def _list(url: str, folder: str) -> list[str]:
    if not address.is_remote(url):
        return os.listdir(address.local_path(url) / folder)
    system, path = address.filesystem(url)
    found = system.ls(f"{path}/{folder}", detail=False, refresh=True)
    names = [str(name).rpartition("/")[2] for name in found]
    return [name for name in names if name]  # a server may list the folder itself


def _mark(url: str, key: str) -> str:
    if not address.is_remote(url):
        found = (address.local_path(url) / key).stat()
        return f"{found.st_ino} {found.st_mtime_ns}"
    system, path = address.filesystem(url)
    system.invalidate_cache(f"{path}/{key}")
    return str(system.checksum(f"{path}/{key}"))


def write_file(place: Path, content: bytes) -> None:
    """A new file in a folder that is there, whole or not at all."""
    try:
        with place.open("wb", buffering=0) as file:
            _write_all(file, content)
    except BaseException:
        with contextlib.suppress(OSError):
            place.unlink()
        raise


def _replace(target: Path, content: bytes) -> None:
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    os.makedirs(target.parent, exist_ok=True)
    write_file(part, content)
    try:
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _write_all(file: io.FileIO, content: bytes) -> None:
    """All of it: one write takes 2 GiB at most, and on a disk that fills up less than it is given."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _is_of_rights(error: Exception) -> bool:
    """Credentials that are unknown, wrong, or lack a right, or none at all."""
    return isinstance(error, PermissionError) or "Credential" in type(error).__name__


def _is_of_a_client(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in _CLIENTS


def _reason(error: Exception) -> str:
    """What went wrong, in a line: never a request, which may be signed."""
    text = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0]
    return str(text).partition("?")[0].rstrip(". ") or type(error).__name__
