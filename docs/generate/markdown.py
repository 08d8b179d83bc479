"""Small pieces of Markdown: tables, and docstrings taken apart."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

_SECTION = re.compile(r"^(Attributes|Args|Returns|Raises):$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    (\w+): ", re.MULTILINE)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell is escaped.

    >>> print(table(["key"], [["a | b"]]))
    | key |
    |---|
    | a \\| b |
    """
    lines = [header, ["---"] * len(header), *([_cell(each) for each in row] for row in rows)]
    first, rule, *rest = ("|".join(line) if line[0] == "---" else " | ".join(line) for line in lines)
    return "\n".join([f"| {first} |", f"|{rule}|", *(f"| {line} |" for line in rest)])


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def prose(thing: object) -> str:
    """What a docstring says before its first section or example, as Markdown.

    >>> prose(table)
    'A table; what would end a cell is escaped.'
    """
    text = (inspect.getdoc(thing) or "").split(">>>")[0]
    match = _SECTION.search(text)
    return text[: match.start()].strip() if match else text.strip()


def attributes(model: type) -> dict[str, str]:
    """Meanings under `Attributes:` in the docstrings of a class and of those that it comes from.

    >>> class Point:
    ...     '''A point.
    ...
    ...     Attributes:
    ...         x: where it is,
    ...             from the left.
    ...     '''
    >>> attributes(Point)
    {'x': 'where it is, from the left.'}
    """
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        text = inspect.cleandoc(each.__dict__.get("__doc__") or "")
        _, _, after = text.partition("Attributes:\n")
        body = re.split(r"\n(?=\S)", after)[0].split(">>>")[0]
        pieces = _ATTRIBUTE.split("\n" + body)[1:] if body else []
        found |= {
            name: re.sub(r"\s+", " ", text).strip()
            for name, text in zip(pieces[::2], pieces[1::2], strict=True)
        }
    return found
