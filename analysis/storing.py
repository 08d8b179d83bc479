"""What an analysis writes into a store: whole groups, staged beside the old ones and swapped with them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import uuid
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

WRITTEN = "laws/law/written.json"  # inside an array's folder, where no reader of Zarr looks
STAGES = "run/block_attempts/analysis"
HERE, EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
Files = Mapping[str, bytes]


def local_folder(url: str | Path) -> Path | None:
    """The folder of a store on a disk; None for an address elsewhere.

    >>> str(local_folder("file:///data/a.zarr")), local_folder("s3://bucket/a.zarr")
    ('/data/a.zarr', None)
    """
    address = str(url)
    if "://" in address and not address.startswith("file://"):
        return None
    return Path(address.removeprefix("file://"))


def put_groups(url: str | Path, groups: Mapping[str, xr.Dataset], *, consolidate: bool = True) -> None:
    """Write groups in place of those of the same name; on a disk the old ones stay until the new are whole.

    Args:
        url: the store.
        groups: datasets by the name of their group.
        consolidate: whether the root gathers the new metadata too, where it has gathered any.

    Raises:
        OSError: they cannot be written; on a disk the old ones are as they were.

    >>> put_groups.__name__
    'put_groups'
    """
    files = _files(groups)
    files |= {WRITTEN: json.dumps(checksums(files)).encode()}
    folder = local_folder(url)
    if folder is None:
        _put_remote(str(url), files, list(groups))
    else:
        _swap(folder, files, list(groups))
    if consolidate:
        _consolidate_again(url if folder is None else folder)


def checksums(files: Files) -> dict[str, int]:
    """CRC-32 of each file; of metadata without what a group gathers of its members.

    >>> checksums({"laws/slope/c/0": b"abc"})
    {'laws/slope/c/0': 891568578}
    """
    return {
        key: zlib.crc32(_own(content) if key.endswith("zarr.json") else content)
        for key, content in sorted(files.items())
    }


def _own(content: bytes) -> bytes:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if isinstance(found, dict):
        found.pop("consolidated_metadata", None)
    return json.dumps(found, sort_keys=True).encode()


def _files(groups: Mapping[str, xr.Dataset]) -> dict[str, bytes]:
    """The objects that Zarr makes of the groups."""
    made: dict[str, Any] = {}
    store = zarr.storage.MemoryStore(made)
    with _unconsolidated():
        for name, dataset in groups.items():
            dataset.drop_encoding().to_zarr(store, group=name, mode="w", zarr_format=3, consolidated=False)
    return {key: value.to_bytes() for key, value in made.items() if key.partition("/")[0] in groups}


def _swap(folder: Path, files: Files, names: list[str]) -> None:
    """Old and new group change places at once, or by two renames where the system has no such call.

    What fails is undone. A kill leaves the old group or the new one; between the two renames, none.
    """
    stage = folder / STAGES / uuid.uuid4().hex
    try:
        for key, content in files.items():
            (stage / "new" / key).parent.mkdir(parents=True, exist_ok=True)
            (stage / "new" / key).write_bytes(content)
        (stage / "old").mkdir()
        for name in names:
            new, old, place = stage / "new" / name, stage / "old" / name, folder / name
            _keep_others(place, new)
            if _exchanged(new, place):
                continue
            if place.exists():
                place.rename(old)
            try:
                new.rename(place)
            except BaseException:
                if old.exists():
                    old.rename(place)
                raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        with contextlib.suppress(OSError):
            stage.parent.rmdir()


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders have changed places, in one operation."""
    call = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    return call is not None and call(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0


def _keep_others(old: Path, new: Path) -> None:
    """What somebody else has put into a group of ours stays there."""
    ours = {key.split("/")[1] for key in _written_before(old.parent) if key.startswith(f"{old.name}/")}
    if not ours or not old.is_dir():
        return
    for other in old.iterdir():
        if other.name not in ours and not (new / other.name).exists():
            if other.is_dir() and not other.is_symlink():
                shutil.copytree(other, new / other.name, symlinks=True)
            else:
                shutil.copy2(other, new / other.name, follow_symlinks=False)


def _written_before(folder: Path) -> dict[str, int]:
    try:
        found = json.loads((folder / WRITTEN).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _put_remote(url: str, files: Files, names: list[str]) -> None:
    import fsspec

    system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    before = {key for name in names for key in system.find(f"{path}/{name}")}
    system.pipe({f"{path}/{key}": content for key, content in files.items()})
    if left := sorted(before - {f"{path}/{key}" for key in files}):
        system.rm(left)


def _consolidate_again(url: str | Path) -> None:
    """A finished sweep's metadata are consolidated: the new groups belong in there too."""
    with _unconsolidated():
        root = zarr.open_group(str(url), mode="r")
        is_growing = "growing" in root.attrs  # the command that completes it changes the metadata
        if root.metadata.consolidated_metadata is not None and not is_growing:
            zarr.consolidate_metadata(str(url))


@contextlib.contextmanager
def _unconsolidated() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        warnings.filterwarnings("ignore", message="Object at")  # a file of somebody else
        yield
