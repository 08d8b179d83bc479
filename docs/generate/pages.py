"""What a mark `<!-- generated: NAME -->` stands for; a new page is a file here and a line in `PAGES`."""

from __future__ import annotations

from collections.abc import Callable

from docs.generate import (
    command_page,
    config_page,
    gallery_page,
    law_page,
    notebook_page,
    python_page,
    store_page,
    sweeps_page,
)

PAGES: dict[str, Callable[..., str]] = {
    "commands": command_page.page,
    "config": config_page.page,
    "gallery": gallery_page.page,
    "laws": law_page.page,
    "notebook": notebook_page.page,
    "python": python_page.page,
    "store": store_page.page,
    "sweeps": sweeps_page.page,
}


def page(name: str, *words: str) -> str:
    """The Markdown of one mark.

    >>> page("sweeps")[:15]
    '## `demo.yaml`\\n'
    """
    return PAGES[name](*words)
