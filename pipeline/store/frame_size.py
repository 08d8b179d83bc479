"""What a compressed chunk says of its size: known before anything is unpacked."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from zarr.errors import ZarrUserWarning

from widesweep.pipeline.store import address, objects

MAGIC = b"\x28\xb5\x2f\xfd"
LONGEST_HEADER = 18
LONGEST_TEXTS = 1 << 26  # bytes of a chunk of texts, which have no size of their own


def of(content: bytes) -> int | None:
    """Bytes that a Zstandard frame unpacks to; None where it does not say so, as ours always do.

    Source: RFC 8878, section 3.1.1.1, the frame header.

    >>> of(MAGIC + bytes([0x20, 7])), of(MAGIC + bytes([0x60, 44, 0])), of(b"other")
    (7, 300, None)
    """
    if len(content) < 6 or content[:4] != MAGIC:
        return None
    descriptor = content[4]
    flag, single, dictionary = descriptor >> 6, descriptor >> 5 & 1, (0, 1, 2, 4)[descriptor & 3]
    length = (single, 2, 4, 8)[flag]
    start = 5 + (1 - single) + dictionary
    if not length or len(content) < start + length:
        return None
    size = int.from_bytes(content[start : start + length], "little")
    return size + 256 if length == 2 else size


def oversized(url: str, groups: Iterable[tuple[str, Any]]) -> list[str]:
    """Keys of a local store's chunks that would unpack to more than their array's chunks hold.

    Args:
        url: of the store; of a remote one nothing is read.
        groups: names and opened groups.
    """
    if address.is_remote(url):
        return []
    found = []
    for group, opened in groups:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZarrUserWarning)  # of files that are no part of Zarr's
            arrays = list(opened.arrays())
        for name, array in arrays:
            is_text = array.dtype.kind not in "biuf"
            most = LONGEST_TEXTS if is_text else math.prod(array.chunks) * array.dtype.itemsize
            for key in objects.keys_below(url, f"{group}/{name}"):
                if not key.endswith("zarr.json") and (_declared(url, key) or 0) > most:
                    found.append(key)
    return sorted(found)


def _declared(url: str, key: str) -> int | None:
    with (address.local_path(url) / key).open("rb") as file:
        return of(file.read(LONGEST_HEADER))
