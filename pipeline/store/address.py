"""Where a store lies: a local path or an object store, and the few operations that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from widesweep.pipeline.errors import InputError

_PACKAGES = {"s3": "s3fs>=2025.3", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_READ_ONLY = ("http", "https", "ftp")
_CREDENTIALS = {  # botocore's names for where it found them
    "env": "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "shared-credentials-file": "the file of AWS_SHARED_CREDENTIALS_FILE, by default ~/.aws/credentials",
    "config-file": "the file of AWS_CONFIG_FILE, by default ~/.aws/config",
    "iam-role": "this machine's role",
    "container-role": "this container's role",
}


def is_remote(url: str) -> bool:
    """Whether an address names an object store.

    >>> is_remote("s3://bucket/sweep.zarr"), is_remote("results/sweep.zarr"), is_remote("file:///tmp/a.zarr")
    (True, False, False)
    """
    return "://" in url and not url.startswith("file://")


def local_path(url: str) -> Path:
    """The folder of a local store.

    Raises:
        InputError: no file system takes such a name.
    """
    if "\0" in url:
        raise InputError(url.replace("\0", "\\0"), "a name cannot hold the character NUL", "another path")
    return Path(url.removeprefix("file://"))


def absolute(url: str) -> str:
    """The address as another process with another working folder needs it; a remote one stays."""
    if is_remote(url) and "@" in urlsplit(url).netloc:
        wanted = "credentials come from the environment (AWS_ACCESS_KEY_ID, …)"
        raise InputError(f"{urlsplit(url).scheme}://…", "the address holds credentials", wanted)
    return url if is_remote(url) else str(local_path(url).expanduser().absolute())


def zarr_store(url: str) -> Any:
    """What zarr opens: a path, or an fsspec store."""
    if not is_remote(url):
        return local_path(url)
    from zarr.storage import FsspecStore

    filesystem(url)  # says what is missing, in our words
    options = {"use_listings_cache": False} if urlsplit(url).scheme in _PACKAGES else None
    return FsspecStore.from_url(url, storage_options=options)


def credentials_source(url: str) -> str:
    """Where the credentials for an address come from, as the library that uses them looks for them.

    >>> credentials_source("gs://bucket/a.zarr")
    "the environment's defaults for gs"
    """
    scheme = urlsplit(url).scheme
    if scheme != "s3":
        return f"the environment's defaults for {scheme}"
    import botocore.session  # type: ignore[import-untyped]  # no stubs

    found = botocore.session.get_session().get_credentials()
    return _CREDENTIALS.get(found.method, str(found.method)) if found is not None else "nowhere: none are set"


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a remote address, and the path in it."""
    import fsspec

    scheme = urlsplit(url).scheme
    if scheme in _READ_ONLY:
        wanted = "a store is a path or an address such as s3://bucket/sweep.zarr"
        raise InputError(url, f"{scheme}:// takes no store", wanted)
    try:
        options = {"use_listings_cache": False} if scheme in _PACKAGES else {}
        system, path = fsspec.core.url_to_fs(url, **options)
    except ImportError:
        package = _PACKAGES.get(scheme, f"the fsspec package for {scheme}")
        wanted = f"`pip install '{package}'` brings what reads it"
        raise InputError(url, f"nothing here reads {scheme}:// addresses", wanted) from None
    except ValueError:
        wanted = "a store is a path or an address such as s3://bucket/sweep.zarr"
        raise InputError(url, f"{scheme}:// is not known", wanted) from None
    return system, str(path)
