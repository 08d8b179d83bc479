"""The published results of the gallery, as its catalogue states them."""

from __future__ import annotations

from docs.generate.markdown import table
from widesweep.pipeline.gallery.catalogue import ENTRIES
from widesweep.pipeline.gallery.entry import Entry


def page() -> str:
    """A table of all results, then each with its claim, formula, control and difference.

    >>> "## du-neurons" in page()
    True
    """
    rows = [(f"[`{entry.name}`](#{entry.name})", entry.title, entry.source) for entry in ENTRIES]
    return "\n\n".join([table(("name", "result", "source"), rows), *(_section(entry) for entry in ENTRIES)])


def _section(entry: Entry) -> str:
    laws = ", ".join(dict.fromkeys(f"`{claim.law}`" for claim in entry.claims))
    control = entry.control
    changed = f" (`{' '.join(control.settings)}`)" if control.settings else ""
    return "\n\n".join(
        (
            f"## {entry.name}",
            f"**{entry.title}.** {entry.claim}",
            f"`{entry.formula}`",
            f"Source: {entry.source}. Measured by {laws}.",
            f"Control: {control.reason}{changed} It must make "
            f"{', '.join(f'`{law}`' for law in control.refutes)} inconsistent.",
            f"What differs: {entry.differs}",
        )
    )
