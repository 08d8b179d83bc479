"""Puts into an S3 store that succeed only if nobody else has put the object since it was looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from widesweep.pipeline.store import address, objects

AT_ONCE = 16  # requests
_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


def spoken(url: str) -> bool:
    """Whether an address is of a protocol whose conditions this code speaks: S3."""
    return urlsplit(url).scheme == "s3"


def tags(url: str, keys: Iterable[str]) -> dict[str, str]:
    """What identifies the bytes of each object (its ETag); "" where there is none."""
    system, path = address.filesystem(url)

    def one(key: str) -> str:
        return objects.with_retries(url, partial(_tag, system, f"{path}/{key}"))

    return _at_once(list(keys), one)


def put(url: str, files: Mapping[str, bytes], seen: Mapping[str, str], patience_s: float) -> list[str]:
    """Puts objects that are still what `tags` saw.

    Returns:
        Keys of the others, which are as somebody else put them meanwhile.
    """
    system, path = address.filesystem(url)

    def one(key: str) -> bool:
        action = partial(_put, system, f"{path}/{key}", files[key], seen[key])
        return objects.with_retries(url, action, patience_s)

    return [key for key, was_put in _at_once(list(files), one).items() if not was_put]


def delete(url: str, seen: Mapping[str, str]) -> list[str]:
    """Deletes objects that are still what `tags` saw; returns the keys of the others that are there."""
    system, path = address.filesystem(url)
    there = [key for key, tag in seen.items() if tag]

    def one(key: str) -> bool:
        return objects.with_retries(url, partial(_delete, system, f"{path}/{key}", seen[key]))

    return [key for key, was_deleted in _at_once(there, one).items() if not was_deleted]


def _tag(system: Any, path: str) -> str:
    bucket, key, _ = system.split_path(path)
    try:
        return str(system.call_s3("head_object", Bucket=bucket, Key=key)["ETag"])
    except FileNotFoundError:
        return ""


def _put(system: Any, path: str, content: bytes, tag: str) -> bool:
    condition = {"IfMatch": tag} if tag else {"mode": "create"}
    return _is_accepted(partial(system.pipe_file, path, content, **condition))


def _delete(system: Any, path: str, tag: str) -> bool:
    bucket, key, _ = system.split_path(path)
    return _is_accepted(partial(system.call_s3, "delete_object", Bucket=bucket, Key=key, IfMatch=tag))


def _is_accepted(request: Callable[[], Any]) -> bool:
    """Whether a request's condition held; s3fs keeps the server's answer as its error's cause."""
    try:
        request()
    except FileNotFoundError:  # what should match has gone
        return False
    except OSError as error:
        answer = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
        if answer not in _REFUSED:
            raise
        return False
    return True


def _at_once(keys: list[str], action: Any) -> dict[str, Any]:
    if len(keys) == 1:
        return {keys[0]: action(keys[0])}
    with ThreadPoolExecutor(min(AT_ONCE, len(keys) or 1)) as pool:
        return dict(zip(keys, pool.map(action, keys), strict=True))
