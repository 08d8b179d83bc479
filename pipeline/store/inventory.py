"""What a store was made of, in one object beside its arrays: the second copy that repair restores from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import google_crc32c

from widesweep.pipeline.store import encoding, objects

PLACE = "run/block_attempts/inventory.json"  # inside an array's folder, where no reader of Zarr looks
MEASURED = ("training", "initialization", "parts")
NOT_MEASURED = ("learning_rate_absolute",)  # has a width and a depth, and is of the template
FLEETING = ("growing",)  # attributes of the root that come and go
OF_A_RUN = "run"  # its attributes and arrays change while a run lives

Document = dict[str, Any]


@dataclass(frozen=True)
class Inventory:
    """Metadata of our groups and arrays, and checksums of the chunks that were written with them.

    Attributes:
        attributes: the root's.
        documents: metadata by path, of groups without what they gather of their members.
        chunks: checksums by key, of coordinates, η and theory.
    """

    attributes: Mapping[str, Any]
    documents: Mapping[str, Document]
    chunks: Mapping[str, str]

    @property
    def arrays(self) -> dict[str, Document]:
        """Metadata of the arrays, by path."""
        return {path: each for path, each in self.documents.items() if each["node_type"] == "array"}


def read(url: str) -> Inventory | None:
    """The inventory of a store; None where there is none, or it is not what was written."""
    found = unsealed(objects.get(url, PLACE))
    return Inventory(**found) if found is not None else None


def of(url: str, paths: Iterable[str]) -> bytes:
    """The inventory of what a store holds now, as it is stored.

    Args:
        url: the store's address.
        paths: of our arrays.
    """
    return _made(paths, lambda key: objects.get(url, key), lambda path: objects.keys_below(url, path))


def of_files(files: Mapping[str, bytes], paths: Iterable[str]) -> bytes:
    """The inventory of a store that is still being made, as it will be stored.

    Args:
        files: its objects by key.
        paths: of our arrays.
    """
    return _made(paths, files.get, lambda path: [key for key in files if key.startswith(f"{path}/")])


def _made(
    paths: Iterable[str], get: Callable[[str], bytes | None], keys_below: Callable[[str], list[str]]
) -> bytes:
    def found(path: str) -> Document:
        return parsed(get(f"{path}/zarr.json".lstrip("/"))) or {}

    arrays = {path: found(path) for path in sorted(paths)}
    groups = sorted({path.partition("/")[0] for path in arrays})
    documents = {**{name: _without_members(found(name)) for name in groups}, **arrays}
    if OF_A_RUN in documents:
        documents[OF_A_RUN] = {**documents[OF_A_RUN], "attributes": {}}
    attributes = {name: value for name, value in found("")["attributes"].items() if name not in FLEETING}
    wanted = [path for path, each in arrays.items() if is_of_template(path, each)]
    keys = [key for path in wanted for key in keys_below(path) if is_chunk(key, arrays[path])]
    chunks = {key: encoding.checksum(get(key) or b"") for key in keys}
    return sealed(asdict(Inventory(attributes, documents, chunks)))


def document(url: str, path: str) -> Document:
    """A node's metadata document, empty where none can be read."""
    return parsed(objects.get(url, f"{path}/zarr.json".lstrip("/"))) or {}


def parsed(content: bytes | None) -> Document | None:
    """A metadata document; None where the bytes are none."""
    try:
        found = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_of_blocks(path: str, each: Document) -> bool:
    """Whether blocks write an array: it has a width and a depth, and is measured."""
    group, _, name = path.partition("/")
    dims = list(each.get("dimension_names") or [])
    return (
        group in (*MEASURED, encoding.FAILURES)
        and dims[:2] == ["width", "depth"]
        and name not in NOT_MEASURED
    )


def is_of_template(path: str, each: Document) -> bool:
    """Whether an array was written with the template: coordinates, η and theory."""
    return not is_of_blocks(path, each) and not path.startswith(f"{OF_A_RUN}/")


def separator(each: Document) -> str:
    """What stands between the numbers in an array's chunk keys."""
    return str(each["chunk_key_encoding"]["configuration"]["separator"])


def is_chunk(key: str, each: Document) -> bool:
    """Whether a key is that of a chunk that readers of an array see."""
    chunk = key.split("/", 2)[2]
    mark = separator(each)
    numbers = chunk.split(mark)[1:]
    if not chunk.startswith(f"c{mark}") or not all(number.isdecimal() for number in numbers):
        return False
    lengths = each["chunk_grid"]["configuration"]["chunk_shape"]
    places = zip(map(int, numbers), each["shape"], lengths, strict=False)
    return len(numbers) == len(each["shape"]) and all(n * length < whole for n, whole, length in places)


def text(document: Mapping[str, Any]) -> bytes:
    """A metadata document as Zarr writes it."""
    return json.dumps(document, indent=2).encode()


def sealed(content: Mapping[str, Any]) -> bytes:
    """An object as JSON with a checksum.

    >>> unsealed(sealed({"a": 1})), unsealed(sealed({"a": 1}).replace(b"1", b"2"))
    ({'a': 1}, None)
    """
    text = json.dumps(content)
    return json.dumps({"crc32c": int(google_crc32c.value(text.encode())), "content": content}).encode()


def unsealed(stored: bytes | None) -> Document | None:
    """What `sealed` made bytes of; None where they are not these."""
    found = parsed(stored) or {}
    content = found.get("content")
    known = isinstance(content, dict) and stored == sealed(content)
    return content if known else None


def _without_members(each: Document) -> Document:
    return {name: value for name, value in each.items() if name != "consolidated_metadata"}
