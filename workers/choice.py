"""A config's choice among measurements that are listed once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def chosen(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """The measurements of these names, each once, in the order of the list.

    Raises:
        ValueError: a name is unknown (the nearest is given), or there is none.

    >>> chosen(["drift", "loss"], ["loss", "kernel", "drift"])
    ('loss', 'drift')
    """
    listed = tuple(known)
    for name in names:
        if name not in listed:
            near = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
            wanted = f"the nearest is '{near[0]}'" if near else f"they are {', '.join(listed)}"
            raise ValueError(f"'{name}' is not a measurement; {wanted}")
    if not names:
        raise ValueError(f"nothing is measured; name some of {', '.join(listed)}")
    return tuple(name for name in listed if name in names)
