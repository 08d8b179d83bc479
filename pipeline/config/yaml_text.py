"""YAML as configs use it: plain values only, every key once, nothing that runs code."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from widesweep.pipeline.config import intended
from widesweep.pipeline.errors import InputError

MAXIMUM_BYTES = 1 << 20
MAXIMUM_VALUES = 1_000_000
MAXIMUM_NESTING = 30
_PLAIN = (str, int, float, bool, type(None))


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.2's core schema: yes and on are text, 010 is ten; a key given twice is refused."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # the stubs say instance

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _integer(loader: _PlainLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    bases = {"0o": 8, "0x": 16}
    return int(text[2:], bases[text[:2]]) if text[:2] in bases else int(text)


def _no_number(loader: _PlainLoader, node: yaml.ScalarNode) -> None:
    """Refuses what YAML 1.1 took for a number, with what was likely meant."""
    text, mark = str(node.value), node.start_mark
    place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"
    if "_" in text and ":" not in text:
        raise InputError(place, f"{_short(text)} is not a number", f"write {text.replace('_', '')}")
    first, last, *_ = text.split(":")
    whole = first.isdecimal() and last.isdecimal()
    likely = intended.values_between(int(first), int(last)) if whole and len(text) < 20 else ""
    wanted = f"{likely}; quote a text" if likely else "quote a text"
    raise InputError(place, f"{_short(text)} is not a number, nor a range", wanted)


_NUMERIC = "-+.0123456789"
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list(_NUMERIC)),
    ("tag:yaml.org,2002:float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list(_NUMERIC)),
    ("tag:yaml.org,2002:float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list(_NUMERIC)),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
    ("!no-number", r"[-+]?[0-9][0-9_]*(:[0-9_]+)+(\.[0-9_]*)?", list(_NUMERIC)),
    ("!no-number", r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?", list(_NUMERIC)),
):
    _PlainLoader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_PlainLoader.add_constructor("!no-number", _no_number)


def read(path: Path) -> dict[str, Any]:
    """Reads a config file into plain dictionaries, lists and scalars.

    Raises:
        InputError: the file is missing, not text, too large, not YAML, or holds more than plain values.
    """
    text = _text(path)
    value = parse(text, str(path))
    if not isinstance(value, dict):
        raise InputError(
            str(path), f"it holds {describe(value)}", "a config is a mapping such as `name: my-sweep`"
        )
    return value


def parse(text: str, where: str) -> Any:
    """Parses YAML text into plain values.

    >>> parse("[1e-3, on, text]", "example")
    [0.001, 'on', 'text']
    """
    try:
        loader = _PlainLoader(text)
        loader.name = where
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        raise _syntax_error(error, where) from None
    except (RecursionError, ValueError, OverflowError) as error:
        found = (
            "it is nested too deeply"
            if isinstance(error, RecursionError)
            else f"a value cannot be read ({error})"
        )
        raise InputError(where, found[:200], "a config is plain YAML") from None
    _check_plain(value, where)
    return value


def describe(value: Any) -> str:
    """A found value, short enough for a message.

    >>> describe(True), describe("8"), describe(None)
    ('true', "the text '8'", 'nothing')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{_short(value)}'"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    return _short(str(value)) if isinstance(value, int | float) else f"a {type(value).__name__}"


def _short(text: str) -> str:
    line = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return line if len(line) <= 60 else line[:57] + "…"


def _text(path: Path) -> str:
    where = str(path)
    if path.is_dir():
        raise InputError(where, "it is a folder", "CONFIG is a YAML file")
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except FileNotFoundError:
        raise InputError(where, "there is no such file", "CONFIG is the path of a YAML file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be opened"
        raise InputError(where, reason, "CONFIG is the path of a readable YAML file") from None
    if len(content) > MAXIMUM_BYTES:
        raise InputError(
            where, "it is larger than 1 MiB", "a config is a short YAML file; long data goes into .npz"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            where, f"byte {error.start} is not UTF-8 text", "a config is a YAML text file"
        ) from None
    if not text.strip():
        raise InputError(
            where, "it is empty", "a config needs network, data, grid and training or initialization"
        )
    return text


def _syntax_error(error: yaml.YAMLError, where: str) -> InputError:
    mark = getattr(error, "problem_mark", None)
    place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it is not YAML")
    if "could not determine a constructor" in problem:
        tag = problem.split("'")[1] if "'" in problem else "an unknown tag"
        return InputError(
            place, f"the tag {_short(tag)} is not allowed", "a config holds plain values and runs no code"
        )
    if "another document" in problem:
        return InputError(place, "a second document begins there", "a config is one document")
    if "'\\t'" in problem:
        return InputError(place, "a tab begins the line", "YAML indents with spaces")
    return InputError(place, _short(problem), "a config is plain YAML with every key once")


def _check_plain(root: Any, where: str) -> None:
    """Refuses what JSON cannot hold, and structures that aliases make endless."""
    stack: list[tuple[Any, str, int]] = [(root, "", 0)]
    visited = 0
    while stack:
        value, path, nesting = stack.pop()
        visited += 1
        if nesting > MAXIMUM_NESTING or visited > MAXIMUM_VALUES:
            raise InputError(
                where, "it is nested too deeply or too large", "a config is a short, flat YAML file"
            )
        if isinstance(value, dict):
            for key, child in value.items():
                if not isinstance(key, str):
                    wanted = "keys are words; in braces a comma begins another key"
                    raise InputError(_at(where, path), f"the key {_short(str(key))} is not text", wanted)
                stack.append((child, f"{path}.{key}" if path else key, nesting + 1))
        elif isinstance(value, list):
            stack.extend((child, f"{path}[{i}]", nesting + 1) for i, child in enumerate(value))
        elif not isinstance(value, _PLAIN):
            raise InputError(
                _at(where, path), f"{_short(str(value))} is a {type(value).__name__}", "put text in quotes"
            )
        elif isinstance(value, float) and not math.isfinite(value):
            raise InputError(
                _at(where, path), f"{value} is not a finite number", "numbers in a config are finite"
            )


def _at(where: str, path: str) -> str:
    return f"{where}, {path}" if path else where
