"""What `import widesweep as ws` offers, read off the docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import widesweep as ws
from docs.generate.markdown import prose, table

_ARGUMENT = re.compile(r"^    (\w+): ", re.MULTILINE)
GROUPS = {
    "Sweeps": ("run", "plan", "open", "Sweep", "analyze", "report", "refine", "example"),
    "Things of your own": ("register", "activation", "Loss", "Measurement", "Variable", "LawResult"),
}


def page() -> str:
    """Every public name with its signature, its meaning and its arguments.

    >>> "### `ws.run(" in page()
    True
    """
    return "\n\n".join(
        f"## {title}\n\n" + "\n\n".join(_entry(name, getattr(ws, name)) for name in names)
        for title, names in GROUPS.items()
    )


def _entry(name: str, thing: Any) -> str:
    parts = [f"### `ws.{name}{_signature(thing)}`", prose(thing)]
    for section in ("Args", "Attributes"):
        if rows := _rows(thing, section):
            parts.append(table(("argument" if section == "Args" else "attribute", "meaning"), rows))
    for section in ("Returns", "Raises"):
        if text := _text(thing, section):
            parts.append(f"*{section}* {text}")
    return "\n\n".join(parts)


def _signature(thing: Any) -> str:
    """Names and defaults; types are said in words."""
    parameters = list(inspect.signature(thing).parameters.values())
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    text = str(inspect.Signature([each for each in bare if each.name != "self"]))
    return re.sub(r"<factory>|<[^<>]+>", "…", text)


def _body(thing: Any, section: str) -> str:
    text = inspect.getdoc(thing) or ""
    _, _, after = text.partition(f"\n{section}:\n")
    return re.split(r"\n(?=\S)", after)[0].split(">>>")[0]


def _rows(thing: Any, section: str) -> list[tuple[str, str]]:
    pieces = _ARGUMENT.split("\n" + _body(thing, section))[1:]
    return [(f"`{name}`", text) for name, text in zip(pieces[::2], pieces[1::2], strict=True)]


def _text(thing: Any, section: str) -> str:
    return re.sub(r"\s+", " ", _body(thing, section)).strip()
