"""The site: Markdown pages, and those that `docs/generate` reads off the code while it is built."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.generate import pages  # noqa: E402  (the path comes first)

project = "widesweep"
author = "the widesweep authors"
html_title = "widesweep"
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["generate"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

_FILE = re.compile(r"^<!-- file: (.+?) -->$", re.MULTILINE)
_MARK = re.compile(r"^<!-- generated: (\w+)(?: (\w+))? -->$", re.MULTILINE)


def setup(app: Any) -> None:
    """Puts what is generated in the place of its mark, as each page is read."""
    app.connect("source-read", lambda app, name, source: source.__setitem__(0, _filled(source[0])))


def _filled(text: str) -> str:
    """What is generated, and the name of each file above its content."""
    text = _MARK.sub(lambda match: pages.page(*(word for word in match.groups() if word)), text)
    return _FILE.sub(r"`\1`\n", text)
