"""Things of one kind by name: built in, registered, entry points, and `package.module:Name`.

A name without a colon is built in, registered in this process, or an entry point of an installed package in
the group `widesweep.<kind>`; one with a colon is imported. Nothing is imported before `get`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import operator
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that a user most likely meant, whatever its letters' case; None: none is near.

    >>> nearest("ReLU", ["linear", "relu"]), nearest("rleu", ["linear", "relu"]), nearest("x", ["relu"])
    ('relu', 'relu', None)
    """
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=cutoff)
    return lower[near[0]] if near else None


class PlugInError(Exception):
    """A plug-in cannot be imported, or is not what its kind asks for: the reason, and where it arose."""


class Registry(Generic[T]):
    """All things of one kind.

    Attributes:
        kind: such as "activation"; entry points are looked for in the group `widesweep.<kind>`.

    >>> numbers = Registry("number", lambda name, found: float(found), {"one": 1.0})
    >>> numbers.get("one"), numbers.get("math:pi")
    (1.0, 3.141592653589793)
    """

    def __init__(self, kind: str, accept: Callable[[str, object], T], built_in: Mapping[str, T]) -> None:
        """Begins with what is built in.

        Args:
            kind: what its things are.
            accept: (name, found) to a thing of this kind; raises where it breaks the interface.
            built_in: things by name.
        """
        self.kind, self._accept, self._built_in = kind, accept, built_in
        self._own: dict[str, object] = {}
        self._accepted: dict[str, tuple[object, T]] = {}

    @property
    def built_in(self) -> tuple[str, ...]:
        """Names of what is built in."""
        return tuple(self._built_in)

    def register(self, name: str, thing: object) -> None:
        """Gives a thing a name in this process, or gives a reference `package.module:Name` another name.

        Raises:
            ValueError: the name is a built-in's, or has a colon.
        """
        if name in self._built_in or ":" in name:
            raise ValueError(f"'{name}' cannot be registered; choose a name that is not built in")
        self._own[name] = thing

    def check(self, name: str) -> None:
        """Refuses a name that is none; imports nothing.

        Raises:
            ValueError: the name is unknown; gives the nearest.

        >>> Registry("size", lambda name, found: found, {"small": 1}).check("smal")
        Traceback (most recent call last):
        ValueError: 'smal' is not known; the nearest is 'small'
        """
        if name in self._built_in or name in self._own or REFERENCE.fullmatch(name):
            return
        listed = [*self._built_in, *self._own, *self._entry_points()]
        if name not in listed:
            near, (module, _, attribute) = nearest(name, listed), name.rpartition(".")
            wanted = f"it is one of {', '.join(listed)}, or package.module:Name"
            if module and REFERENCE.fullmatch(f"{module}:{attribute}"):
                wanted = f"what is imported is written {module}:{attribute}"
            raise ValueError(f"'{name}' is not known; {f'the nearest is {near!r}' if near else wanted}")

    def reference(self, name: str) -> str | None:
        """Where a name's thing is imported from, as `package.module:Name`; None: it is here already.

        Raises:
            ValueError: the name is unknown.
        """
        self.check(name)
        if name in self._built_in:
            return None
        found = self._own.get(name, name if ":" in name else self._entry_points().get(name))
        return found if isinstance(found, str) else None

    def get(self, name: str) -> T:
        """The thing of a name, imported if need be.

        Raises:
            ValueError: the name is unknown.
            PlugInError: it cannot be imported, or breaks the interface.

        >>> Registry("size", lambda name, found: found, {}).get("math:pi")
        3.141592653589793
        """
        reference = self.reference(name)
        if name in self._built_in:
            return self._built_in[name]
        try:
            found = self._own[name] if reference is None else _imported(reference)
            if name not in self._accepted or self._accepted[name][0] is not found:
                self._accepted[name] = found, self._accept(name, found)
        except (Exception, SystemExit) as error:
            raise PlugInError(last_line(error)) from error
        return self._accepted[name][1]

    def accepted(self, thing: object) -> T:
        """A thing that is at hand, as a thing of this kind.

        Raises:
            PlugInError: it breaks the interface.
        """
        try:
            return self._accept("", thing)
        except Exception as error:
            raise PlugInError(last_line(error)) from error

    def _entry_points(self) -> dict[str, str]:
        found: Iterable[importlib.metadata.EntryPoint] = importlib.metadata.entry_points(
            group=f"widesweep.{self.kind}"
        )
        return {point.name: point.value for point in found}


def _imported(reference: str) -> object:
    module, _, attribute = reference.partition(":")
    return operator.attrgetter(attribute)(importlib.import_module(module))


def last_line(error: BaseException) -> str:
    """A traceback's last line, and the file and line of the user's code that it arose in.

    >>> try: compile("1 +", "my_lab.py", "exec")
    ... except SyntaxError as error: print(last_line(error))
    SyntaxError: invalid syntax (my_lab.py, line 1)
    """
    message = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and "importlib" not in frame.filename
    ]
    theirs = [frame for frame in frames if frame.filename != __file__]
    return f"{message} ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else message
