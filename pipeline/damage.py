"""Chunks that are no longer what was written: found by their checksums, and given back to the plan."""

from __future__ import annotations

import json

import google_crc32c

from pipeline import storage

GROUPS = ("training", "initialization", "parts", "theory", "run")  # ours: every chunk ends with its crc32c
MEASURED = ("training", "initialization", "parts")
NOT_MEASURED = ("learning_rate_absolute",)  # has a width and a depth, and is of the template


def find(url: str) -> list[str]:
    """Keys of all damaged chunks, sorted; reads the whole store. A chunk that is missing is not noticed."""
    keys = [key for group in GROUPS for key in storage.keys_below(url, group) if "/c" in key]
    return [key for key in keys if _is_chunk(key) and not is_whole(storage.get(url, key) or b"")]


def is_whole(content: bytes) -> bool:
    """Whether a chunk's last four bytes are the crc32c of the others.

    >>> is_whole(b"1234"), is_whole(b"abc" + int(google_crc32c.value(b"abc")).to_bytes(4, "little"))
    (False, True)
    """
    body, end = content[:-4], content[-4:]
    return len(end) == 4 and int(google_crc32c.value(body)) == int.from_bytes(end, "little")


def discard(url: str) -> tuple[list[str], bool]:
    """Takes damaged chunks away; their blocks are pending from then on.

    A block's status goes first, so that it counts as not measured at every moment.

    Returns:
        The damaged keys, and whether any is of the template (coordinates, theory) and must be written again.
    """
    damaged = find(url)
    statuses = {key: _status_of(url, key) for key in damaged}
    gone = {status for status in statuses.values() if status}
    storage.delete(url, sorted(gone | {_pair_of(status) for status in gone if status.startswith("parts/")}))
    storage.delete(url, damaged)
    return damaged, None in statuses.values()


def _is_chunk(key: str) -> bool:
    parts = key.split("/")
    return len(parts) > 2 and parts[2] == "c" and all(part.isdecimal() for part in parts[3:])


def _status_of(url: str, key: str) -> str | None:
    """The status chunk of a measured chunk's block: every array begins with the axes of `status`."""
    group, name, c, *numbers = key.split("/")
    if group not in MEASURED or name in NOT_MEASURED or _dims(url, group, name)[:2] != ["width", "depth"]:
        return None
    return "/".join((group, "status", c, *numbers[: len(_dims(url, group, "status"))]))


def _pair_of(status: str) -> str:
    """The status chunk of the (width, depth) that a part belongs to."""
    return "/".join(("initialization", *status.split("/")[1:5]))


def _dims(url: str, group: str, name: str) -> list[str]:
    metadata = json.loads(storage.get(url, f"{group}/{name}/zarr.json") or b"{}")
    return list(metadata.get("dimension_names", []))
