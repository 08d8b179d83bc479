"""Every law: its names, the variables that it reads, and the slope that theory expects."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

from docs.generate import everything
from docs.generate.markdown import prose, table
from widesweep.analysis import laws
from widesweep.analysis.laws import Law, bounds, tables
from widesweep.analysis.laws.kinds.bound_law import BoundLaw

HEADER = ("law", "claim", "reads", "regime", "expected slope")
ALL: tuple[Law, ...] = (*laws.LAWS, *laws.BY_VARIANT)


class Entry(NamedTuple):
    """One claim of a law: name, title, slopes allowed in the limit, and the scaling that it is of."""

    name: str
    title: str
    low: float
    high: float
    scaling: str = ""


def page() -> str:
    """One table of all laws, then what each file does.

    >>> "`weight_drift`" in page()
    True
    """
    rows = [
        (
            f"`{entry.name}`",
            entry.title,
            ", ".join(f"`{name}`" for name in reads(law)),
            f"Under {entry.scaling}." if entry.scaling else laws.regime_of(law).sentence,
            slope(entry),
        )
        for law in ALL
        for entry in entries(law)
    ]
    return "\n\n".join([table(HEADER, rows), *dict.fromkeys(_section(law) for law in ALL)])


def entries(law: Law) -> Iterator[Entry]:
    """What a law is called: from the object that it is a method of, by case, or from what it finds.

    A law whose expectation depends on the sweep gives `NAME`, and by case, or by name and case, `TITLES`, and
    `EXPECTED`; one that needs another grid than that sweep's gives `NAME`, `TITLE` and `EXPECTED`.
    """
    owner: Any = getattr(law, "__self__", None)
    file = module(law)
    if owner is not None:
        yield Entry(owner.name, owner.title, *_allowed(owner))
        yield from _elsewhere(owner)
    elif hasattr(file, "TITLES"):
        for key, title in file.TITLES.items():
            name, case = key if isinstance(key, tuple) else (file.NAME, key)
            yield Entry(name, title, file.EXPECTED[case], file.EXPECTED[case])
    elif hasattr(file, "EXPECTED"):
        yield Entry(file.NAME, file.TITLE, file.EXPECTED, file.EXPECTED)
    else:
        found = everything.summary()
        yield from (Entry(f.name, f.title, f.expected, f.expected) for f in law(found))
        if hasattr(file, "laws"):
            yield from (entry for each in file.laws(found) for entry in _elsewhere(each))


def _elsewhere(law: Any) -> Iterator[Entry]:
    """What a law in width claims of other scalings."""
    for name, each in getattr(law, "elsewhere", {}).items():
        yield Entry(law.name, each.title or law.title, *each.allowed, name)


def _allowed(owner: Any) -> tuple[float, float]:
    if hasattr(owner, "allowed"):
        return owner.allowed[0], owner.allowed[1]
    expected = owner.expected if hasattr(owner, "expected") else sys.modules[type(owner).__module__].EXPECTED
    return expected, expected


def module(law: Law) -> ModuleType:
    """The file of a law: its own, where it is a function or that file's `LAW`, else that of the tables."""
    owner = getattr(law, "__self__", None)
    if owner is None:
        return sys.modules[law.__module__]
    if isinstance(owner, BoundLaw):
        return bounds
    own = (each for each in vars(laws).values() if getattr(each, "LAW", None) is owner)
    return next(own, tables)


def reads(law: Law) -> tuple[str, ...]:
    """Names in the store of what a law looks at, as group/variable."""
    owner: Any = getattr(law, "__self__", None)
    return tuple(module(law).READS if owner is None else owner.reads)


def slope(entry: Entry) -> str:
    """The slope in the limit, or the range that theory leaves open.

    >>> slope(Entry("", "", -1.0, -0.5)), slope(Entry("", "", 2.0, 2.0)), slope(Entry("", "", 1.0, np.inf))
    ('-1 to -0.5', '2', '1 or more')
    """
    if math.inf in (entry.high, -entry.low):
        return f"{entry.low:g} or more" if entry.high == math.inf else f"{entry.high:g} or less"
    return f"{entry.low:g} to {entry.high:g}" if entry.low < entry.high else f"{entry.low:g}"


def _section(law: Law) -> str:
    file = module(law)
    name = file.__name__.rpartition(".")[2]
    about = prose(file)
    if not hasattr(law, "__self__"):
        about = f"{about}\n\n{_after_first_paragraph(prose(law))}".strip()
    return f"## `analysis/laws/{name}.py`\n\n{about}"


def _after_first_paragraph(text: str) -> str:
    """A function's first line says what it returns, which is no reader's concern here."""
    return inspect.cleandoc(text).partition("\n\n")[2]
